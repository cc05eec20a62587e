"""Run all tests, on the full product, and print what was checked: `uv run python -m tools.matrix`.

Arguments go to pytest. Exits 1 if anything failed. What this machine lacks, a Python say, is
skipped and named; with `TESTS_MUST_NOT_SKIP`, as in CI, it fails.
"""

import re
import sys
import time
from itertools import product
from typing import Any

import pytest

from harness.bakery import BACKENDS, TOOLS
from harness.cells import ANSWERS, HERE, PYTHONS, RESOLUTIONS, Cell

# What proves a cell, by test and by what the test depends on.
OF_FILES = (
    "test_same_bytes",
    "test_nothing_of_the_template_is_left",
    "test_no_other_queue",
    "test_modes",
    "test_every_file_parses",
)
OF_CELLS = ("test_check", "test_lock", "test_starts")
README = "test_commands"
README_CELL = Cell()[1:3]
"""The Python and the resolution that it is run with, for all."""
HEADER = (
    *("queue", "answers", "tool", "Python", "resolution"),
    *("files", "README", "check", "lock", "starts"),
)


class Results:
    """The outcomes of the tests, gathered from all processes."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._reports: dict[str, pytest.TestReport] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what tells most about a test: its own outcome, or that of a fixture that failed."""
        name = report.nodeid.rpartition("::")[2]
        if report.when == "call" or not report.passed:
            self._reports[name] = report

    def passed(self, test: str, of: str) -> bool:
        """Tell whether a test has run for this, and has passed."""
        report = self._reports.get(f"{test}[{of}]")
        return report is not None and report.passed

    def detail(self, test: str, of: str) -> str:
        """Return its outcome as a cell of the table."""
        report = self._reports.get(f"{test}[{of}]")
        if report is None:
            return "NOT RUN"
        if not report.passed:
            return report.outcome.upper()
        said = [str(value) for _, value in report.user_properties]
        return ", ".join([*said, f"{report.duration:.0f} s"])


def rows(results: Results) -> list[tuple[str, ...]]:
    """Make a row for each combination, which says what was run for it, or stands for it."""
    found = []
    for backend, answers, python, resolution, tool in product(
        BACKENDS, ANSWERS, PYTHONS, RESOLUTIONS, TOOLS
    ):
        tree, cell = f"{backend}-{answers}", str(Cell(backend, python, resolution, answers))
        files = "ok" if all(results.passed(test, tree) for test in OF_FILES) else "FAILED"
        proofs = [(README, tree), *((test, cell) for test in OF_CELLS)]
        checks = [results.detail(*proof) for proof in proofs]
        if (python, resolution) != README_CELL and results.passed(*proofs[0]):
            checks[0] = f"once, {README_CELL[0]}"
        if tool != TOOLS[0] and results.passed("test_same_bytes", tree):
            checks = [
                "same bytes" if results.passed(*proof) else said
                for proof, said in zip(proofs, checks, strict=True)
            ]
        found.append((backend, answers, tool, python, resolution, files, *checks))
    return found


def table(lines: list[tuple[str, ...]]) -> str:
    """Lay the rows out in columns."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def main(arguments: list[str]) -> int:
    """Run the tests of the product, and print the table."""
    results, start = Results(), time.monotonic()
    plugins: list[Any] = [results]
    # A process more than the default run has: much of a cell is waiting for its worker.
    options = ["-m", "", "--numprocesses=3"]
    code = int(pytest.main([*options, *arguments], plugins=plugins))
    made = rows(results)
    print(f"\n{table([HEADER, *made])}\n")
    bad = [row for row in made if re.search("FAILED|NOT RUN", " ".join(row))]
    if missing := sorted(set(PYTHONS) - set(HERE)):
        print(f"Not found, so not run: Python {', '.join(missing)}.")
    minutes = (time.monotonic() - start) / 60
    print(f"{len(made)} combinations in {minutes:.1f} minutes, {len(bad)} not green.")
    return code or int(bool(bad))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
