"""The mutation tester tells the strength of a service's tests."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.bakery import REPOSITORY, environment, tree

APP = '''"""What is tested, and what is not."""


def capped(number: int, *, cap: int | None = 3) -> int:
    """Return the number, but at most the cap."""
    return min(number, cap or 99)


def answer() -> int:
    """Return 42."""
    return 42
'''
TESTS = """from app import capped


def test_capped() -> None:
    assert [capped(100), capped(100, cap=0), capped(1)] == [3, 99, 1]
"""


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """A service of two functions, the second without a test, on this repository's packages."""
    folder = tmp_path / "service"
    for name, text in (("app/__init__.py", APP), ("tests/test_app.py", TESTS)):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text, "utf-8")
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def mutate(service: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command; its pytest needs none of the plugins here."""
    return subprocess.run(
        [sys.executable, "-m", "tools.mutation", str(service), *options],
        cwd=REPOSITORY,
        env=environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
        capture_output=True,
        text=True,
        check=False,
    )


def mutants(output: str) -> list[tuple[str, ...]]:
    """List verdict, line and operator of each."""
    return re.findall(r"^(killed|SURVIVED) app/__init__\.py:(\d+) (\w+) ", output, re.MULTILINE)


def test_rate(service: Path) -> None:
    """It counts what a test finds and shows what none does; the service stays as it was."""
    before = tree(service)

    result = mutate(service)

    assert mutants(result.stdout) == [
        ("killed", "4", "NumberReplacer"),
        ("killed", "4", "NumberReplacer"),
        ("killed", "6", "ReplaceOrWithAnd"),
        ("killed", "6", "NumberReplacer"),
        ("killed", "6", "NumberReplacer"),
        ("SURVIVED", "11", "NumberReplacer"),
        ("SURVIVED", "11", "NumberReplacer"),
    ], result.stdout + result.stderr
    assert "tests/test_app.py::test_capped\n" in result.stdout
    assert "-    return 42\n+    return 43\n" in result.stdout
    assert result.stdout.endswith("\n5 of 7 killed (71.4%), seed 1\n")
    assert tree(service) == before


def test_sample(service: Path) -> None:
    """A seed draws the same mutants again, and another seed others."""
    first, again, other = (
        mutants(mutate(service, "--sample=3", f"--seed={seed}").stdout) for seed in (1, 1, 2)
    )

    assert len(first) == 3
    assert first == again
    assert first != other


def test_failing_service(service: Path) -> None:
    """Where the tests fail without a mutant there is nothing to measure."""
    (service / "tests/test_app.py").write_text(
        "def test_fails() -> None:\n    assert False\n", "utf-8"
    )

    result = mutate(service)

    assert result.returncode == 1
    assert "FAILED tests/test_app.py::test_fails" in result.stderr
    assert not result.stdout
