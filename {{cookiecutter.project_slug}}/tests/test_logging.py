"""The log: one form for all lines, and on each what it is about."""

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from app.logging import TEXT, log_context, prepare
from tests.service import run

logger = logging.getLogger("app.tests")

PROGRAM = """
import asyncio, httpx, uvicorn, warnings
from app.logging import configure_logging, log_context
from app.settings import Settings

async def app(scope, receive, send):
    warnings.warn("A warning\\nof two lines")
    with log_context(request_id=scope["path"]):
        raise ZeroDivisionError("Zoë")

async def main():
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off"))
    settings = Settings(fastapi_env="development")
    configure_logging(settings.model_copy(update={"fastapi_env": "production"}))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{port}/path?to=ada@example.com")
    server.should_exit = True
    await serving

asyncio.run(main())
"""


def test_production() -> None:
    """Whoever writes a line, uvicorn or Python, and whatever is in it: it is a JSON object."""
    done = run(PROGRAM)

    assert done.stdout == ""
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    for line in lines:
        age = datetime.now(UTC) - datetime.fromisoformat(line["timestamp"])
        assert timedelta() < age < timedelta(minutes=1)
    by_logger = {line["logger"]: line for line in lines}
    assert set(by_logger) == {"uvicorn.error", "uvicorn.access", "py.warnings"}
    assert by_logger["uvicorn.access"]["message"].endswith(' - "GET /path HTTP/1.1" 500')
    assert "of two lines" in by_logger["py.warnings"]["message"]
    [bug] = [line for line in lines if "exception" in line]
    assert (bug["level"], bug["message"]) == ("ERROR", "Exception in ASGI application")
    assert bug["exception"].endswith("ZeroDivisionError: Zoë")


def test_development(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person reads what happened first, and then what it is about.

    Fields hold within their block and add up; an empty one is no field.
    """
    monkeypatch.setattr(caplog.handler, "formatter", TEXT)
    caplog.handler.addFilter(prepare)
    with log_context(idempotency_key="test:1"):
        with log_context(attempt=2, request_id=""):
            logger.warning("not sent")
        logger.warning("between")
    logger.warning("outside")
    caplog.handler.removeFilter(prepare)

    inside, between, outside = caplog.text.splitlines()
    assert inside.endswith(" WARNING app.tests: not sent  idempotency_key=test:1  attempt=2")
    assert between.endswith(" between  idempotency_key=test:1")
    assert outside.endswith(" outside")
