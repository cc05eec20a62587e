"""The sandbox as an application, and the middleware by which a service serves it."""

import logging
import secrets
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox import emails, errors, mailbox, suppressions
from sandbox.delivery import Delivery
from sandbox.dependencies import Previews, Sandbox
from sandbox.previews import router as previews_router
from sandbox.store import Store
from sandbox.webhooks import Webhooks


class SandboxMiddleware:
    """ASGI middleware that serves the sandbox below a path of the service.

    Add it last: then it is the outermost, and no other middleware sees the sandbox's requests.
    """

    def __init__(self, app: ASGIApp, path: str, sandbox: ASGIApp) -> None:
        self._app = app
        self._mount = Mount(path, sandbox)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass what is below the path to the sandbox, and all else to the service."""
        answers = self._app
        with_slash = {**scope, "path": scope.get("path", "") + "/"}
        match, child_scope = self._mount.matches(scope)
        if match is Match.FULL:
            scope, answers = {**scope, **child_scope}, self._mount.app
        elif self._mount.matches(with_slash)[0] is Match.FULL:
            answers = RedirectResponse(with_slash["path"])
        await answers(scope, receive, send)


def add_headers(app: ASGIApp) -> ASGIApp:
    """ASGI middleware: each response has an id, as PostStack's have, and no cache keeps it."""

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = f"req_{secrets.token_hex(8)}"
                headers["cache-control"] = "no-cache"
            await send(message)

        await app(scope, receive, send_with_headers)

    return respond


def create_sandbox(  # noqa: PLR0913  they are settings
    *,
    database: Path | None = None,
    api_key: str = "sk_test_sandbox",
    webhook_url: str | None = None,
    webhook_secret: str | None = None,
    event_interval: float = 0.05,
    previews: Previews | None = None,
) -> FastAPI:
    """A PostStack for development and tests.

    Messages are kept in memory, or in the SQLite file `database`, where they outlive a code
    reload. Webhooks are sent when both their URL and secret are given; the secret may be
    "new,old". `event_interval` is the time in seconds from one event of a message to the next.
    `previews` makes what `/previews` shows. No lifespan is needed.
    """
    logging.getLogger("uvicorn.access").addFilter(mailbox.logs_request)
    store = Store(database)
    webhooks = Webhooks(webhook_url, webhook_secret) if webhook_url and webhook_secret else None

    app = FastAPI(title="PostStack sandbox", openapi_url=None)
    app.state.sandbox = Sandbox(api_key, store, Delivery(store, webhooks, event_interval), previews)
    app.add_middleware(add_headers)
    app.exception_handler(HTTPException)(errors.on_http_error)
    app.exception_handler(RequestValidationError)(errors.on_invalid_parameter)
    app.include_router(emails.router)
    app.include_router(suppressions.router)
    app.include_router(mailbox.router)
    app.include_router(previews_router)
    app.mount("/static", StaticFiles(directory=mailbox.STATIC))
    return app
