"""What the tests share: settings, the service with its lifespan, and PostStack on the wire."""

import json
import logging
import shutil
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import httpx
import pytest
import respx
import uvicorn
from aiohttp import web
from fastapi import FastAPI
from poststack import AsyncPostStack
from pydantic import SecretStr
from starlette.types import ASGIApp

from app.application import create_app
from app.database import Database, open_database
from app.logging import JSONFormatter
from app.mail.client import open_poststack
from app.mail.message import Message
from app.settings import Settings
from tests import service as service_module
from tests.databases import at, empty, migrate, postgresql
from tests.service import JSON, Logged, Sent, open_client


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run each test in a folder of its own; `tests/__init__.py` hides the developer's shell."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def certificates() -> Iterator[None]:
    """Read the certificate authorities once: every new client would, and take 20 ms for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        yield


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[ASGIApp], str]]:
    """Serve any application from a thread of its own until the tests end; gives its URL."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(app: ASGIApp) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        # Without a lifespan, so that the tests see the sandbox as it is when mounted.
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        running.append((server, thread))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        # FastAPI makes an application's routes at its first request, and for that time it changes
        # which warnings the whole process makes errors of: not in two threads at once.
        httpx.get(url)
        return url

    yield start
    for server, _ in running:
        server.should_exit = True
    for _, thread in running:
        thread.join()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """PostStack's port in one test, which refuses connections until `wire` listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with all migrations and no rows, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "service.sqlite3"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgresql_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL database with all migrations."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with postgresql(tmp_path_factory.mktemp("postgresql"), port) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path) -> str:
    """Either database, with all migrations and no rows."""
    if request.param == "sqlite":
        return f"sqlite:///{shutil.copy(migrated, tmp_path / 'either.sqlite3')}"
    url: str = request.getfixturevalue("postgresql_url")
    empty(url)
    return url


@pytest.fixture
async def database(settings: Settings, database_url: str) -> AsyncIterator[Database]:
    """Either database, opened."""
    async with open_database(at(settings, database_url)) as database:
        yield database


@pytest.fixture
def settings(tmp_path: Path, listener: socket.socket, migrated: Path) -> Settings:
    """Settings of a service that talks to `wire`, with a database of its own."""
    path = shutil.copy(migrated, tmp_path)
    return Settings(
        fastapi_env="development",
        poststack_api_key="sk_test_of_the_tests",
        poststack_base_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
        poststack_webhook_secret="whsec_of_the_tests",  # noqa: S106  of these tests only
        sender_email="sender@example.com",
        database_url=SecretStr(f"sqlite:///{path}"),
    )


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    """The service, with routes of the tests' own."""
    app = create_app(settings)
    app.include_router(service_module.router)
    return app


@pytest.fixture
async def service(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the running service, with an API key."""
    async with open_client(app) as client:
        yield client


@pytest.fixture
async def poststack(settings: Settings) -> AsyncIterator[AsyncPostStack]:
    """The SDK's client without its own retries: one answer is one outcome."""
    async with open_poststack(settings, max_retries=0) as poststack:
        yield poststack


@pytest.fixture
async def router(listener: socket.socket) -> AsyncIterator[respx.MockRouter]:
    """PostStack on a real port.

    respx says what is answered and what has arrived; it patches nothing. Where it raises a
    transport error the connection breaks.
    """
    router = respx.MockRouter(assert_all_called=False)

    async def handle(request: web.BaseRequest) -> web.Response:
        arrived = httpx.Request(
            request.method,
            str(request.url),
            headers=list(request.headers.items()),
            content=await request.content.read(),
            extensions={"client": request.get_extra_info("peername"), "target": request.raw_path},
        )
        with suppress(httpx.TransportError):
            answer = await router.async_handler(arrived)
            headers, content = answer.headers, answer.content
            response = web.Response(status=answer.status_code, headers=headers, body=content)
            response.enable_compression()  # if the client asks for it, as the SDK does
            return response
        assert request.transport
        request.transport.close()
        return web.Response()

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.01)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    yield router
    await runner.cleanup()


@pytest.fixture
def wire(router: respx.MockRouter) -> respx.Route:
    """PostStack's `POST /emails`, accepting everything; `wire.calls` has what it received."""
    return router.post(path="/emails").respond(202, json={"id": "em_1"})


@pytest.fixture
def sent(wire: respx.Route) -> Sent:
    """Read the JSON of the mails that PostStack has received so far."""
    return lambda: [json.loads(call.request.content) for call in wire.calls]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Logged:
    """Read what the service has logged so far, as it stands in production's log."""
    caplog.set_level(logging.INFO, "app")
    monkeypatch.setattr(caplog.handler, "formatter", JSONFormatter())
    return lambda: [json.loads(line) for line in caplog.text.splitlines()]


@pytest.fixture
def message() -> Message:
    """A message that never varies."""
    return Message(
        sender="sender@example.com",
        recipient="ada@example.com",
        subject="Hello",
        html="<p>Hello</p>",
        text="Hello",
        idempotency_key="test:1",
    )


@pytest.fixture
def body(message: Message) -> JSON:
    """The same as a request's body, to be changed with `|`."""
    return message.model_dump(mode="json", exclude={"request_id"}, exclude_defaults=True)
