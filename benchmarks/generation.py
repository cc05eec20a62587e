"""Time generation against what `uv sync` and `pytest` take by themselves on the same project.

    uv run python -m benchmarks.generation [--rounds 5]

Both are whole processes in fresh folders with warm package caches, one after the other in each
round, so that the ratio of the medians holds on a noisy machine.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.bakery import SCRIPTS, UV, bake, copy_template, environment


def seconds(*commands: tuple[str, ...], cwd: Path) -> float:
    """Run the commands one after the other; raises `CalledProcessError` when one fails."""
    start = time.perf_counter()
    for command in commands:
        subprocess.run(command, cwd=cwd, env=environment(UV=UV), check=True, capture_output=True)
    return time.perf_counter() - start


def measure(rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds of each round: of generation, and of `uv sync` and `pytest` alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        template = copy_template(folder / "template")
        plain = bake("cookiecutter", copy_template(folder / "quiet", post_gen=False), folder, {})
        generation, alone = [], []
        for number in range(rounds + 1):
            out, copy = folder / f"out{number}", folder / f"copy{number}"
            command = (sys.executable, "-m", "cookiecutter", "--no-input", "-o", str(out))
            generated = seconds((*command, str(template)), cwd=folder)
            shutil.copytree(plain, copy)
            sync = (UV, "sync", "--python", sys.executable)
            pytest = (str(Path(".venv", SCRIPTS.name, "python")), "-m", "pytest")
            tested = seconds(sync, pytest, cwd=copy)
            if number:  # the first round warms the caches
                generation.append(generated)
                alone.append(tested)
    return generation, alone


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    generation, alone = measure(rounds)
    print(f"{rounds} rounds, seconds: median (min to max)")
    for label, figures in (("generation", generation), ("uv sync + pytest", alone)):
        print(
            f"{label:>17}: {statistics.median(figures):.2f}"
            f" ({min(figures):.2f} to {max(figures):.2f})"
        )
    print(f"{'ratio':>17}: {statistics.median(generation) / statistics.median(alone):.2f}")


if __name__ == "__main__":
    main()
