"""The log: one form for all lines, and on each what it is about."""

import asyncio
import json
import logging
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import respx

from app import logs
from app.messages import Message
from tests.conftest import Logged
from tests.test_roads import SIGNUP

logger = logging.getLogger("app.tests")

PROGRAM = """
import asyncio, httpx, uvicorn, warnings
from app import logs
from app.settings import Settings

async def app(scope, receive, send):
    warnings.warn("A warning\\nof two lines")
    with logs.bound(request_id=scope["path"]):
        raise ZeroDivisionError("Zoë")

async def main():
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off"))
    settings = Settings(fastapi_env="development")
    logs.configure(settings.model_copy(update={"fastapi_env": "production"}))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    [listener] = server.servers[0].sockets
    port = listener.getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        assert (await client.get("/way?to=ada@example.com")).status_code == 500
    server.should_exit = True
    await serving

asyncio.run(main())
"""


def test_production() -> None:
    """Whoever writes a line, uvicorn or Python, and whatever is in it: it is a JSON object."""
    run = subprocess.run(  # noqa: S603  the program stands above
        [sys.executable, "-c", PROGRAM],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert run.stdout == ""
    lines = [json.loads(line) for line in run.stderr.splitlines()]
    for line in lines:
        age = datetime.now(UTC) - datetime.fromisoformat(line["timestamp"])
        assert timedelta() < age < timedelta(minutes=1)
    by_logger = {line["logger"]: line for line in lines}
    assert set(by_logger) == {"uvicorn.error", "uvicorn.access", "py.warnings"}
    assert lines[0]["message"].startswith("Started server process")
    assert by_logger["uvicorn.access"]["message"].endswith(' - "GET /way HTTP/1.1" 500')
    assert "of two lines" in by_logger["py.warnings"]["message"]
    [bug] = [line for line in lines if "exception" in line]
    assert (bug["level"], bug["message"]) == ("ERROR", "Exception in ASGI application")
    assert bug["exception"].endswith("ZeroDivisionError: Zoë")


def test_development(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person reads what happened first, and then what it is about."""
    monkeypatch.setattr(caplog.handler, "formatter", logs.TextFormatter())
    with logs.bound(idempotency_key="test:1", attempt=2):
        logger.warning("not sent")

    assert caplog.text.endswith(" WARNING app.tests: not sent  idempotency_key=test:1  attempt=2\n")


def test_bound(logged: Logged) -> None:
    """Fields hold within their block and add up; an empty one is no field."""
    with logs.bound(request_id="r", idempotency_key="k"):
        with logs.bound(attempt=1, request_id=""):
            logger.info("inside")
        logger.info("between")
    logger.info("outside")

    known = {"timestamp", "level", "logger", "message"}
    assert [{k: line[k] for k in line.keys() - known} for line in logged()] == [
        {"request_id": "r", "idempotency_key": "k", "attempt": 1},
        {"request_id": "r", "idempotency_key": "k"},
        {},
    ]


@pytest.mark.parametrize("given", ["9f86d081884c7d65", "Root=1-67891233-abcdef01", "a" * 128])
async def test_given_request_id(
    given: str, service: httpx.AsyncClient, wire: respx.Route, logged: Logged
) -> None:
    """A caller's id is on every line about the request, and so is the message's key."""
    response = await service.post("/signup", json=SIGNUP, headers={"X-Request-ID": given})

    assert response.headers["x-request-id"] == given
    key = json.loads(wire.calls.last.request.content)["idempotency_key"]
    [line] = [line for line in logged() if line["logger"].startswith("app.")]
    assert line["message"].startswith("accepted by PostStack")
    assert (line["request_id"], line["idempotency_key"], line["email_id"]) == (given, key, "em_1")


@pytest.mark.parametrize("given", [None, "", "a b", 'a"', "a\tb", "ä", "a" * 129])
async def test_made_request_id(given: str | None, service: httpx.AsyncClient) -> None:
    """Without an id, or with one that no log should hold, every request gets its own."""
    headers = {} if given is None else {b"X-Request-ID": given.encode()}
    ids = {
        (await service.get("/healthz", headers=headers)).headers["x-request-id"] for _ in range(2)
    }

    assert len(ids) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", made) for made in ids)


async def test_background(service: httpx.AsyncClient, wire: respx.Route, logged: Logged) -> None:
    """What is sent after the response is still about the request; requests do not mix."""
    responses = await asyncio.gather(
        *(
            service.post("/notify", json=SIGNUP, headers={"X-Request-ID": f"request-{number}"})
            for number in range(5)
        )
    )

    assert wire.call_count == 5
    lines = [line for line in logged() if line["message"].startswith("accepted")]
    assert {line["request_id"]: line["idempotency_key"] for line in lines} == {
        f"request-{number}": response.json()["idempotency_key"]
        for number, response in enumerate(responses)
    }


async def test_problem(service: httpx.AsyncClient, wire: respx.Route) -> None:
    """An error tells the caller the id under which the log has its cause."""
    wire.respond(401)

    response = await service.post("/signup", json=SIGNUP, headers={"X-Request-ID": "r"})

    assert response.status_code == 502
    assert response.json()["request_id"] == response.headers["x-request-id"] == "r"


@pytest.mark.usefixtures("bug")
async def test_bug(service: httpx.AsyncClient, logged: Logged) -> None:
    """After a bug the request is known to the caller, and to the server, which logs it."""
    response = await service.post("/signup", json=SIGNUP, headers={"X-Request-ID": "r"})
    logger.error("as uvicorn would")

    assert response.status_code == 500
    assert response.json()["request_id"] == response.headers["x-request-id"] == "r"
    assert logged()[-1]["request_id"] == "r"


def test_message_from_before(message: Message) -> None:
    """What was queued before messages had a request id is still a message."""
    queued = message.model_dump(mode="json", exclude={"request_id"})

    assert Message.model_validate(queued) == message
