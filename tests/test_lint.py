"""This repository follows the rules that it gives to a service."""

import pytest

from tests.bakery import REPOSITORY, SCRIPTS, run


@pytest.mark.parametrize("command", ["ruff check", "ruff format --check --diff", "mypy"])
def test_lint(command: str) -> None:
    """Lint, format and strict types are clean."""
    tool, *arguments = command.split()
    run(str(SCRIPTS / tool), *arguments, cwd=REPOSITORY)
