"""What the tests share: settings, the service with its lifespan, and PostStack on the wire."""

import os
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from pathlib import Path

# `app.main` builds the app that `fastapi dev` serves when it is imported; the tests must neither
# need an environment for that nor read yours.
os.environ |= {"FASTAPI_ENV": "development", "POSTSTACK_API_KEY": "sk_test_of_the_tests"}

import httpx
import pytest
import respx
import uvicorn
from fastapi import FastAPI
from poststack import AsyncPostStack
from starlette.types import ASGIApp

from app.delivery import open_poststack
from app.dispatch import DispatchSettings
from app.main import create_app
from app.messages import Message

POSTSTACK = "https://api.poststack.test"


@pytest.fixture
def anyio_backend() -> str:
    """The service runs on asyncio, as the SDK does."""
    return "asyncio"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the developer's environment variables and `.env` file from the settings."""
    for name in DispatchSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
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
        while not server.started:
            time.sleep(0.002)
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for server, _ in running:
        server.should_exit = True
    for _, thread in running:
        thread.join()


@pytest.fixture
def settings(tmp_path: Path) -> DispatchSettings:
    """Settings of a service that talks to `POSTSTACK`, where only respx answers."""
    return DispatchSettings(
        fastapi_env="development",
        poststack_api_key="sk_test_of_the_tests",
        poststack_base_url=POSTSTACK,
        poststack_webhook_secret="whsec_of_the_tests",  # noqa: S106  of these tests only
        sender_email="sender@example.com",
        database_path=tmp_path / "service.sqlite3",
    )


@pytest.fixture
async def app(settings: DispatchSettings) -> AsyncIterator[FastAPI]:
    """Run the service's lifespan around a test."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def service(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service; its bugs become 500s here, as they would for any caller."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


@pytest.fixture
async def poststack(settings: DispatchSettings) -> AsyncIterator[AsyncPostStack]:
    """The SDK's client without its own retries: one answer is one outcome."""
    async with open_poststack(settings, max_retries=0) as poststack:
        yield poststack


@pytest.fixture
def wire() -> Iterator[respx.Route]:
    """PostStack's `POST /emails`, accepting everything; `wire.calls` has what it received."""
    with respx.mock(base_url=POSTSTACK, assert_all_called=False) as router:
        yield router.post("/emails").respond(202, json={"id": "em_1"})


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
