"""The guide's pitfalls: what a reviewer would have to see, the tools see."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

BLOCKING_CLIENT = """
from poststack import PostStack

client = PostStack(api_key="sk_test_1")
"""

MISSING_AWAIT = """
from poststack import AsyncPostStack

from app.delivery import send
from app.messages import Message


async def signup(poststack: AsyncPostStack, message: Message) -> None:
    send(poststack, message)
"""


@pytest.mark.parametrize(
    ("fault", "tool", "complaint"),
    [
        (BLOCKING_CLIENT, ["ruff", "check", "--quiet"], "TID251"),
        (MISSING_AWAIT, ["mypy"], "unused-coroutine"),
    ],
)
def test_planted_fault(fault: str, tool: list[str], complaint: str, tmp_path: Path) -> None:
    """The blocking client is a lint error, and a forgotten `await` is a type error."""
    planted = tmp_path / "planted.py"
    planted.write_text(fault)

    run = subprocess.run(  # noqa: S603  the command is spelled out above
        [
            sys.executable,
            "-m",
            *tool,
            "--config-file" if "mypy" in tool else "--config",
            "pyproject.toml",
            str(planted),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 1, run.stdout + run.stderr
    assert complaint in run.stdout
