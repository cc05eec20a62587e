"""Who may ask, and how much; and what a browser may do with the answer."""

from secrets import compare_digest
from typing import Annotated

from fastapi import Depends, HTTPException, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.dependencies import SettingsDep

MAX_BYTES = 2**20
"""The longest request: an order of 500 lines has some 150,000 bytes."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What each answer has unless its route says otherwise. TLS is the proxy's, and so is HSTS."""

bearer = HTTPBearer(
    auto_error=False, scheme_name="ApiKey", description="One of the service's `API_KEYS`."
)


async def require_key(
    settings: SettingsDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
) -> None:
    """Answer 401 to a caller without a key of ours."""
    if credentials is None:
        raise HTTPException(
            401,
            "Show an API key: `Authorization: Bearer <key>`.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    shown = credentials.credentials.encode()
    # Each key, and each to its end: the time that it takes tells nothing about them.
    keys = settings.api_keys.get_secret_value().split(",")
    if not sum(compare_digest(shown, key.encode()) for key in keys):
        raise HTTPException(
            401,
            "This API key is none of ours.",
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        )


ApiKey = Depends(require_key)
"""For a route's `dependencies`: whatever mails any address, or tells about mail, needs a key."""


class Guard:
    """Refuses what is too long with 413, and completes the headers of each answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = int(Headers(scope=scope).get("content-length", 0))
        received = 0

        async def receive_some() -> Message:
            nonlocal received
            # Before anything is read, and again for bodies that do not say how long they are.
            if max(announced, received) <= MAX_BYTES:
                message = await receive()
                received += len(message.get("body", b""))
            if max(announced, received) > MAX_BYTES:
                raise HTTPException(413, f"A request has at most {MAX_BYTES} bytes.")
            return message

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        # Mails have attachments. Production has no sandbox, and reads nothing that is sent there.
        sandbox = scope["path"].startswith("/sandbox/")
        await self._app(scope, receive if sandbox else receive_some, send_guarded)
