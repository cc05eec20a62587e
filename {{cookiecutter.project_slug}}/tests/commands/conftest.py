"""The commands, as an operator's shell starts them."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

import pytest

from app.settings import Settings

Command = Callable[..., Awaitable[tuple[str, str]]]
"""Runs a `main` with arguments; returns what it wrote, and the line that it exited with."""


@pytest.fixture
def command(
    settings: Settings,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Run a command, with its settings in the environment, on either database."""
    monkeypatch.setenv("FASTAPI_ENV", "development")
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("POSTSTACK_BASE_URL", settings.poststack_base_url)
    monkeypatch.setenv("POSTSTACK_API_KEY", settings.poststack_api_key.get_secret_value())
    monkeypatch.setattr("poststack._client.BASE_RETRY_DELAY", 0)

    async def run(main: Callable[[], None], *arguments: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["command", *arguments])
        exited = ""
        try:
            await asyncio.to_thread(main)  # it has an event loop of its own
        except SystemExit as error:
            exited = str(error)
        said = capsys.readouterr()
        assert said.err == ""
        return said.out.rstrip("\n"), exited

    return run
