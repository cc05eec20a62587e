"""The whole loop on one desk: the service, its sandbox, and the webhooks between them."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from app.dispatch import DispatchSettings
from app.main import create_app
from sandbox import delivery
from tests.conftest import AUTHORIZED


@pytest.fixture
async def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[httpx.AsyncClient, asyncio.Event]]:
    """A newcomer's service on a real port, and what is set when it has taken a bounce."""
    monkeypatch.setattr(delivery, "PACE", 0.005)
    bounced = asyncio.Event()

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "recipient suppressed: hard_bounce" in record.getMessage():
                bounced.set()

    watch = Watch()
    logger = logging.getLogger("app.webhooks")
    logger.addHandler(watch)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings = DispatchSettings(
            fastapi_env="development", port=port, database_path=tmp_path / "service.sqlite3"
        )
        app = create_app(settings)
        # The test runs the lifespan, so that what it opens ends after the server.
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        async with app.router.lifespan_context(app):
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            url = f"http://127.0.0.1:{port}"
            async with httpx.AsyncClient(base_url=url, headers=AUTHORIZED) as client:
                yield client, bounced
            server.should_exit = True
            await serving
    logger.removeHandler(watch)


async def test_bounce(desk: tuple[httpx.AsyncClient, asyncio.Event]) -> None:
    """A signup bounces, its webhook arrives signed, and the next one ends before PostStack.

    The sandbox counts what it is sent again, so a count of none means that it was not called.
    """
    service, bounced = desk
    signup = {"email": "bounced@sandbox.poststack.dev", "name": "Bob"}

    first = await service.post("/signup", json=signup)
    assert first.status_code == 201
    await asyncio.wait_for(bounced.wait(), 5)
    second = await service.post("/signup", json=signup | {"email": signup["email"].upper()})

    assert second.json() == first.json()
    assert (await service.post("/notify", json=signup)).status_code == 422
    events = (await service.get(f"/events/{first.json()['email_id']}")).json()["events"]
    assert [event["type"] for event in events] == ["bounced"]
    mails: list[dict[str, Any]] = (await service.get("/sandbox/messages")).json()["messages"]
    assert [(mail["id"], mail["repeats"]) for mail in mails] == [(first.json()["email_id"], 0)]
