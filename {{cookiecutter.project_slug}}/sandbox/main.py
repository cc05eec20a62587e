"""The sandbox as an application, to be mounted by the service or run alone."""

import logging
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox import emails, errors, mailbox
from sandbox.delivery import Delivery
from sandbox.dependencies import Sandbox
from sandbox.store import Store
from sandbox.webhooks import Webhooks


class EveryRequest:
    """Names each answer, and takes up interrupted deliveries: a mounted app has no start-up."""

    def __init__(self, app: ASGIApp, delivery: Delivery) -> None:
        self._app = app
        self._delivery = delivery

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = errors.new_request_id()
                headers["cache-control"] = "no-cache"
            await send(message)

        self._delivery.resume()
        await self._app(scope, receive, send_with_id)


def create_sandbox(
    *,
    database: Path | None = None,
    api_key: str = "sk_test_sandbox",
    webhook_url: str | None = None,
    webhook_secret: str | None = None,
) -> FastAPI:
    """A PostStack for development and tests.

    Messages are kept in memory, or in the SQLite file `database`, where they outlive a code
    reload. Webhooks are sent when both their url and secret are given; the secret may be
    "new,old". No lifespan is needed, since Starlette runs none for a mounted application.
    """
    if not api_key.startswith("sk_"):
        raise ValueError("api_key must start with sk_")
    logging.getLogger("uvicorn.access").addFilter(mailbox.QUIET_POLLING)
    store = Store(database)
    webhooks = Webhooks(webhook_url, webhook_secret) if webhook_url and webhook_secret else None
    delivery = Delivery(store, webhooks)

    app = FastAPI(title="PostStack sandbox", openapi_url=None)
    app.state.sandbox = Sandbox(api_key, store, delivery)
    app.add_middleware(EveryRequest, delivery=delivery)
    app.exception_handler(errors.ApiError)(errors.on_api_error)
    app.exception_handler(HTTPException)(errors.on_http_error)
    app.exception_handler(RequestValidationError)(errors.on_invalid_query)
    app.exception_handler(Exception)(errors.on_crash)
    app.include_router(emails.router)
    app.include_router(mailbox.router)
    app.mount("/static", StaticFiles(directory=mailbox.STATIC))
    return app
