"""This repository follows the rules that it gives to a service."""

import pytest

from harness.bakery import REPOSITORY, SCRIPTS, run


@pytest.mark.parametrize(
    "command", ["ruff check", "ruff format --check --diff", "mypy", "lint-imports"]
)
def test_lint(command: str) -> None:
    """Lint, format, strict types and the layers of imports are clean."""
    tool, *arguments = command.split()
    run(str(SCRIPTS / tool), *arguments, cwd=REPOSITORY)
