"""The id of a request: in its response, and in every log line about it."""

import random
import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as Event

from app import logs

HEADER = "X-Request-ID"

VALID = re.compile(r"[A-Za-z0-9._:=+/-]{1,128}")
"""What is taken from a caller or a proxy; it will stand in logs and in queues."""


class RequestId:
    """ASGI middleware that takes the id from the request or makes one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        # It is no secret, and `secrets` asks the kernel: other threads take their turn meanwhile.
        request_id = given if VALID.fullmatch(given) else f"{random.getrandbits(128):032x}"

        async def answer(event: Event) -> None:
            if event["type"] == "http.response.start":
                # Not in place of the sandbox's, which has ids of its own, as PostStack does.
                MutableHeaders(scope=event).setdefault(HEADER, request_id)
            await send(event)

        token = logs.fields.set({"request_id": request_id})
        await self._app(scope, receive, answer)
        # Not after an exception: the server will log its traceback, and that is about this request.
        logs.fields.reset(token)
