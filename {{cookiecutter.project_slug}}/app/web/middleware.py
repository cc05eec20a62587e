"""What every request gets: an id for the log, a limit to its size, headers for browsers."""

import random
import re

from fastapi import HTTPException
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.logging import context

REQUEST_ID = "X-Request-ID"

VALID_REQUEST_ID = re.compile(r"[A-Za-z0-9._:=+/-]{1,128}")
"""What is taken from a caller or a proxy; it will stand in logs and in queues."""

MAX_BODY_SIZE = 2**20
"""Bytes of a request: an order of 150 lines has some 30,000."""

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What a response has unless its route sets another. TLS is the proxy's, and so is HSTS."""


class RequestId:
    """Takes the request's id from its header or makes one, for the log and the response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        # It is no secret, and `secrets` asks the kernel: other threads take their turn meanwhile.
        request_id = (
            given if VALID_REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
        )

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        token = context.set({"request_id": request_id})
        await self._app(scope, receive, send_with_id)
        # Not after an exception: the server will log its traceback, and that is about this request.
        context.reset(token)


class Head:
    """Answers HEAD, with which monitors ask, as it would GET, and without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope.get("method") != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            await send({**message, "body": b""} if "body" in message else message)

        await self._app({**scope, "method": "GET"}, receive, send_without_body)


class BodySizeLimit:
    """Answers 413 to a body that is too long, as soon as that is known."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        announced = dict(scope.get("headers", [])).get(b"content-length", b"")
        # Python refuses to read numbers of more than 4,300 digits.
        size = int(announced[:20]) if announced.isdigit() else 0
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            # Before anything is read, and again for bodies that do not say how long they are.
            if max(size, received) <= MAX_BODY_SIZE:
                message = await receive()
                received += len(message.get("body", b""))
            if max(size, received) > MAX_BODY_SIZE:
                raise HTTPException(413, f"The body must have at most {MAX_BODY_SIZE} bytes.")
            return message

        await self._app(scope, receive_limited, send)


class SecurityHeaders:
    """Completes the headers of each response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
