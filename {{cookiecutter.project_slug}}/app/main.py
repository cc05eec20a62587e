"""The ASGI app. `fastapi dev` and `fastapi run` find it here by themselves."""

import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

from fastapi import FastAPI

from app import api, logs, problems
from app.api.description import ABOUT
from app.background import Background
from app.client import open_poststack
from app.dispatch import DispatchSettings, open_dispatch
from app.events import open_events
from app.limits import SignupLimits
from app.request_id import RequestId
from app.security import Guard
from app.settings import load
from app.users import open_users

logger = logging.getLogger(__name__)


def create_app(settings: DispatchSettings) -> FastAPI:
    """Build the service; its lifespan opens every resource and closes it again."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            open_users(settings.database_path) as app.state.users,
            open_events(settings.database_path) as app.state.events,
            open_poststack(settings) as app.state.poststack,
            open_dispatch(settings, app.state.poststack) as app.state.dispatch,
        ):
            app.state.background = Background(app.state.poststack)
            if settings.sandbox:
                logger.info("Mailbox: http://127.0.0.1:%s/sandbox/", settings.port)
            yield

    app = FastAPI(
        title=settings.service_name,
        **ABOUT,
        lifespan=lifespan,
        docs_url=None,  # see app/api/docs.py
        redoc_url=None,
    )
    app.add_middleware(Guard)
    app.add_middleware(RequestId)
    app.state.settings = settings
    app.state.signup_limits = SignupLimits(settings)
    app.include_router(api.router)
    problems.install(app)
    if settings.sandbox:
        # By name, because production has no sandbox to import: not in its image, not in its code.
        sandbox = import_module("sandbox.main")
        app.mount(
            "/sandbox",
            sandbox.create_sandbox(
                database=settings.database_path.with_name("sandbox.sqlite3"),
                webhook_url=f"http://127.0.0.1:{settings.port}/webhooks/poststack",
                webhook_secret=settings.poststack_webhook_secret.get_secret_value(),
            ),
        )
    return app


settings = load(DispatchSettings)
logs.configure(settings)
app = create_app(settings)

# What was made until here stays, and a request leaves no cycles behind: Python's own thresholds
# spend 15 % of the time under load on looking for them, and 10,000 still 7 % at 256 requests.
gc.freeze()
gc.set_threshold(30_000, 50)
