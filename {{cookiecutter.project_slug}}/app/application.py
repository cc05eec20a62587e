"""`create_app`: the routes, the middleware, and the resources that they share."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

from fastapi import APIRouter, FastAPI

from app import web
from app.database import open_database
from app.development import mount_sandbox
from app.mail.client import open_poststack
from app.mail.events import Events
from app.mail.log import MailLog
from app.mail.mailer import Mailer
from app.mail.suppressions import Suppressions
from app.queue.publisher import open_publisher
from app.settings import Settings
from app.web.middleware import BodySizeLimit, Head, RequestId, SecurityHeaders
from app.web.openapi import declare_problems, openapi_options
from app.web.problems import add_exception_handlers

FOLDER = Path(__file__).parent


def create_app(settings: Settings) -> FastAPI:
    """Build the service; its lifespan opens every resource and closes it again."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            open_database(settings) as database,
            open_poststack(settings) as poststack,
            open_publisher(settings, database, poststack, log := MailLog(database)) as publisher,
        ):
            app.state.database = database
            app.state.events = Events(database)
            app.state.suppressions = suppressions = Suppressions(database)
            app.state.poststack = poststack
            app.state.publisher = publisher
            app.state.mailer = Mailer(settings, poststack, suppressions, log, publisher)
            yield

    app = FastAPI(
        title=settings.service_name,
        lifespan=lifespan,
        docs_url=None,  # see app/web/pages.py
        redoc_url=None,
        redirect_slashes=False,  # to an address that the request's Host header names
        **openapi_options(),
    )
    app.state.settings = settings
    app.add_middleware(Head)
    app.add_middleware(BodySizeLimit)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestId)
    for router in feature_routers():  # first: routes are tried in order, and these are under load
        app.include_router(router)
    app.include_router(web.router)
    add_exception_handlers(app)
    declare_problems(app)
    if settings.sandbox:
        mount_sandbox(app, settings)
    return app


def feature_routers() -> Iterator[APIRouter]:
    """Import the `router` of each `router.py` below `app/`, so that no list names the features."""
    for path in sorted(FOLDER.rglob("router.py")):
        module = ".".join((FOLDER.name, *path.relative_to(FOLDER).with_suffix("").parts))
        yield import_module(module).router
