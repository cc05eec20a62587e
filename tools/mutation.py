"""Measure how many planted faults a service's tests find, in a random sample of all there are.

    uv run python -m tools.mutation SERVICE [--sample 150] [--seed 1] [--jobs 2] [--package app]

cosmic-ray plants one fault at a time, a mutant, in a copy of the service: it replaces an operator,
a number or a constant, negates a condition, or disables a decorator, a loop or an exception
handler. A mutant is killed when a test fails or hangs.

The service must be installed, and it is faster when its tests have run before. `PYTEST_ADDOPTS`
gives pytest more arguments. With a queue use `--jobs 1`, or the jobs' tests share a broker.

Some mutants are left out, because they would say nothing about the tests:

- `ReplaceBinaryOperator_BitOr_*`: in typed code `|` joins types. With another operator the module
  cannot be imported, or in the annotation of a local variable nothing changes.
- The `*` of `def f(*, a)`, which cosmic-ray takes for an operator.
- Those that are not Python, and those that cosmic-ray fails to make.

Nothing else in annotations is left out: the 80 in `Annotated[str, Field(max_length=80)]` matters.
"""

import argparse
import os
import random
import re
import shutil
import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.commands import init
from cosmic_ray.modules import find_modules
from cosmic_ray.mutating import mutate_and_test, mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.testing import run_tests
from cosmic_ray.util import read_python_source
from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome

# Mutants are tested in the order of their lines: what killed the last one may well kill the next.
COMMAND = ".venv/bin/python -m pytest -x -q --failed-first"
FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", re.MULTILINE)


class Report(NamedTuple):
    """What became of a mutant: `text` names the test that killed it, or shows its diff."""

    killed: bool
    seconds: float
    text: str


def enter_copy(service: Path, folder: str) -> None:
    """Work in a copy of the service that no other process has; all but its packages are copied."""
    copy = Path(folder, str(os.getpid()))
    shutil.copytree(service, copy, symlinks=True, ignore=shutil.ignore_patterns(".venv"))
    (copy / ".venv").symlink_to(service / ".venv")
    os.chdir(copy)


def find_mutants(package: str) -> list[MutationSpec]:
    """List the package's mutants in the order of their lines, which is the same in each run."""
    with use_db(":memory:") as session:
        init(find_modules([Path(package)]), session, {})
        mutants = [mutant for item in session.work_items for mutant in item.mutations]
    return sorted(filter(is_telling, mutants), key=order)


def order(mutant: MutationSpec) -> tuple[Path, tuple[int, int], str, int]:
    """Order by file and line; the rest makes it unique."""
    return mutant.module_path, mutant.start_pos, mutant.operator_name, mutant.occurrence


def is_telling(mutant: MutationSpec) -> bool:
    """Tell whether the tests' verdict on it says something about them."""
    source = read_python_source(mutant.module_path)
    line, column = mutant.start_pos
    marker = source.splitlines()[line - 1].startswith("*,", column)
    if marker or mutant.operator_name.startswith("core/ReplaceBinaryOperator_BitOr_"):
        return False
    operator = get_operator(mutant.operator_name)()
    try:
        mutated = mutate_code(source, operator, mutant.occurrence)
        with warnings.catch_warnings(action="ignore"):  # `x is 1` gets one, and is Python
            compile(mutated, mutant.module_path, "exec")
    except (AttributeError, SyntaxError):  # cosmic-ray raises the first at `except (a.B, c.D)`
        return False
    return True


def run_mutant(mutant: MutationSpec, timeout: float) -> Report:
    """Run the tests with the mutant in this process's copy, and take it out again."""
    start = time.perf_counter()
    result = mutate_and_test([mutant], COMMAND, timeout)
    seconds = time.perf_counter() - start
    if result.test_outcome is TestOutcome.KILLED:
        failure = FAILURE.search(result.output)
        killer = failure[1] if failure else result.output.strip() or "the tests' own imports"
        return Report(True, seconds, killer)
    if result.test_outcome is TestOutcome.SURVIVED:
        return Report(False, seconds, f"\n{result.diff}\n")
    raise RuntimeError(f"{mutant} could not be tested: {result.output}")


def measure(options: argparse.Namespace, folder: str) -> None:
    """Print each mutant of the sample as it is tested, and the rate."""
    copy = (options.service.resolve(), folder)
    with ProcessPoolExecutor(options.jobs, initializer=enter_copy, initargs=copy) as pool:
        start = time.perf_counter()
        outcome, output = pool.submit(run_tests, COMMAND, None).result()
        clean = time.perf_counter() - start
        if outcome is not TestOutcome.SURVIVED:
            sys.exit(f"The tests must pass without a mutant. `{COMMAND}` says:\n{output}")
        mutants = pool.submit(find_mutants, options.package).result()
        size = min(options.sample, len(mutants))
        sample = random.Random(options.seed).sample(mutants, size)  # noqa: S311 - no secret
        sample.sort(key=order)
        print(f"{len(mutants)} mutants, {size} in the sample; without one {clean:.0f} s")
        test = partial(run_mutant, timeout=3 * clean + 30)
        killed = 0
        for mutant, report in zip(sample, pool.map(test, sample), strict=True):
            killed += report.killed
            verdict = "killed" if report.killed else "SURVIVED"
            place = f"{mutant.module_path}:{mutant.start_pos[0]}"
            operator = mutant.operator_name.removeprefix("core/")
            print(verdict, place, operator, f"({report.seconds:.1f} s)", report.text, flush=True)
    print(f"{killed} of {size} killed ({killed / size:.1%}), seed {options.seed}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("service", type=Path, help="the folder of an installed service")
    parser.add_argument("--sample", type=int, default=150, help="how many mutants to test")
    parser.add_argument("--seed", type=int, default=1, help="another one draws another sample")
    parser.add_argument("--jobs", type=int, default=2, help="how many to test at a time")
    parser.add_argument("--package", default="app", help="what to plant faults in")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(options, folder)


if __name__ == "__main__":
    main()
