"""A service's sandbox as a PostStack in a container, which can hold its answers back.

It runs in the service's environment, by `uvicorn held_sandbox:app`.
"""

import asyncio
import os
from pathlib import Path
from typing import Any

from sandbox.main import create_sandbox

FOLDER = Path("/poststack")
HOLD = FOLDER / "hold"
"""While this file exists, mail is accepted and its senders wait for the answer."""

sandbox = create_sandbox(database=FOLDER / "mails.sqlite3", api_key=os.environ["POSTSTACK_API_KEY"])


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer as the sandbox does, at once or later."""

    async def send_later(event: Any) -> None:
        while scope.get("path") == "/emails" and HOLD.exists():  # noqa: ASYNC110  a test
            await asyncio.sleep(0.02)
        await send(event)

    await sandbox(scope, receive, send_later)
