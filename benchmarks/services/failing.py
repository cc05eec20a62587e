"""The bake's sandbox as a PostStack that fails a tenth of the time: `python failing.py PORT`.

It answers with an error, or drops the connection before or after it has accepted the mail.
"""

import asyncio
import os
import random
import sys
from typing import Any

import uvicorn
from sandbox.main import create_sandbox
from starlette.responses import JSONResponse

ERRORS = [
    JSONResponse({"error": "Chaos", "code": "internal_error"}, 500),
    JSONResponse({"error": "Chaos", "code": "unavailable"}, 503),
    JSONResponse({"error": "Chaos"}, 429, {"retry-after": "1"}),
    "drop before",
    "drop after",
]

sandbox = create_sandbox(api_key=os.environ["POSTSTACK_API_KEY"])


async def ignore(_: Any) -> None:
    """Send nothing."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Pass a request on to the sandbox, or fail."""

    async def send_late(event: Any) -> None:
        if event["type"] == "http.response.start":
            await asyncio.sleep(0.1)  # a sender that is killed now has sent its mail
        await send(event)

    if scope["path"] != "/emails":
        await sandbox(scope, receive, send)
        return
    if random.random() > 0.1:  # noqa: S311  it guards nothing
        await sandbox(scope, receive, send_late)
        return
    error = random.choice(ERRORS)  # noqa: S311
    if not isinstance(error, str):
        await error(scope, receive, send)
        return
    if error == "drop after":
        await sandbox(scope, receive, ignore)  # accepted, and the sender never hears of it
    # A response without its body makes uvicorn drop the connection.
    headers = [(b"content-length", b"9")]
    await send({"type": "http.response.start", "status": 202, "headers": headers})


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="critical", lifespan="off")
