"""`CeleryPublisher`: what the caller is told, and what RabbitMQ then holds."""

import asyncio
import json
import socket
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from app.mail.message import Message
from app.queue.connections import BROKER_TIMEOUT, MAX_CONNECTIONS
from app.queue.development import share_sandbox_url
from app.queue.publisher import failed_queue, mail_queue
from app.settings import Settings, load_settings
from tests.queue.broker import open_proxy
from tests.queue.commands import Deployment, body, open_service
from tests.service import Logged

QUEUED = {(202, False)}


async def enqueue(
    service: httpx.AsyncClient, message: Message, count: int = 20
) -> set[tuple[int, bool]]:
    """Enqueue copies at once; returns the statuses, and whether they say when to come back."""
    bodies = [body(message, f"test:{number}") for number in range(count)]
    responses = await asyncio.gather(*(service.post("/enqueue", json=each) for each in bodies))
    return {(response.status_code, "retry-after" in response.headers) for response in responses}


async def expect_outage(service: httpx.AsyncClient, message: Message, count: int = 20) -> None:
    """Callers get a 503 and none waits twice, while `/healthz` keeps answering."""
    start = time.monotonic()
    enqueuing = asyncio.create_task(enqueue(service, message, count))
    while not enqueuing.done():
        asked = time.monotonic()
        assert (await service.get("/healthz")).status_code == 200
        assert time.monotonic() - asked < BROKER_TIMEOUT
        await asyncio.sleep(0.02)
    assert await enqueuing == {(503, True)}
    assert time.monotonic() - start < 2 * BROKER_TIMEOUT


@pytest.mark.parametrize("accepts", [False, True], ids=["refused", "silent"])
async def test_no_broker(
    accepts: bool, deployment: Deployment, message: Message, logged: Logged
) -> None:
    """Without RabbitMQ callers get a 503 and the service is not ready; no log has the password."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"amqp://guest:planted@127.0.0.1:{listener.getsockname()[1]}//"
        if not accepts:
            listener.close()
        async with open_service(deployment.changed(broker_url=url)) as service:
            asking = asyncio.create_task(service.get("/readyz"))
            await expect_outage(service, message)
            response = await asking

    assert (response.status_code, response.json()["detail"]) == (503, "Not ready: queue.")
    line = next(line for line in logged() if line["message"].startswith("not queued: "))
    assert line["idempotency_key"].startswith("test:")
    assert line["request_id"]
    assert "planted" not in json.dumps(logged())


async def test_broker_returns(deployment: Deployment, message: Message) -> None:
    """When RabbitMQ hangs, callers get 503 and threads stay few; when it is back, so are we.

    Connections that died while they were idle cost nobody an error.
    """
    async with (
        open_proxy(deployment.broker) as proxy,
        open_service(deployment.changed(broker_url=proxy.url)) as service,
    ):
        assert await enqueue(service, message) == QUEUED
        threads = threading.active_count()

        proxy.answering.clear()
        await expect_outage(service, message, 60)
        assert threading.active_count() <= threads + MAX_CONNECTIONS

        proxy.answering.set()
        start = time.monotonic()
        assert await enqueue(service, message) == QUEUED
        assert time.monotonic() - start < BROKER_TIMEOUT

        proxy.hang_up()
        assert await enqueue(service, message) == QUEUED


async def test_stored_durably(deployment: Deployment, message: Message, logged: Logged) -> None:
    """202 means a durable quorum queue has the message, as later the one for what is given up."""
    async with open_service(deployment.settings) as service:
        assert (await service.get("/readyz")).status_code == 200
        assert await enqueue(service, message, 1) == QUEUED

    assert deployment.count_waiting() == 1
    for queue in (mail_queue("mail"), failed_queue("mail")):
        described = queue.as_dict()
        assert described["durable"]
        assert described["queue_arguments"]["x-queue-type"] == "quorum"
    [line] = logged()
    assert (line["message"], line["idempotency_key"]) == ("queued", "test:0")
    assert line["request_id"]


def test_sandbox_url(tmp_path: Path) -> None:
    """Of two APIs with one database the last says where the sandbox is, as long as it runs."""
    url = SecretStr(f"sqlite:///{tmp_path}/new/service.sqlite3")
    first = Settings(fastapi_env="development", database_url=url)
    second = first.model_copy(update={"port": 8001})
    with ExitStack() as stack:
        stack.enter_context(share_sandbox_url(first))
        with share_sandbox_url(second):
            stack.close()
            assert first.base_url() == "http://127.0.0.1:8001/sandbox"
    assert first.base_url() == "http://127.0.0.1:8000/sandbox"


@pytest.mark.parametrize(
    ("mode", "url", "complaint"),
    [
        ("production", "", "BROKER_URL is missing"),
        ("production", "amqp://guest:guest@rabbitmq//", "BROKER_URL uses the public guest"),
        ("production", "amqp://rabbitmq//", "BROKER_URL uses the public guest"),
        ("production", "redis://:planted@redis:6379/0", "BROKER_URL is Redis"),
        ("development", "rediss://:planted@redis:6379/0", "BROKER_URL is Redis"),
        ("development", "memory://planted", "BROKER_URL must be one amqp://"),
        ("development", "amqp://a:planted@b//;redis://c", "BROKER_URL must be one amqp://"),
        ("development", "amqp://a:planted/2@b//", "BROKER_URL is not a URL"),
    ],
)
def test_broker_refused(mode: str, url: str, complaint: str) -> None:
    """A broker that can lose mail, or that anybody can enter, is refused without its password."""
    with pytest.raises(SystemExit) as caught:
        load_settings(fastapi_env=mode, broker_url=url)

    text = str(caught.value)
    [line] = [line.strip() for line in text.splitlines() if "BROKER_URL" in line]
    assert line.startswith(complaint)
    assert "planted" not in text


@pytest.mark.parametrize("name", ["", "Mail", "eu.mail", "#", "mail queue", "a" * 62])
def test_queue_name(name: str) -> None:
    """The queue's name is one plain word."""
    with pytest.raises(ValueError, match="must be a letter"):
        Settings(fastapi_env="development", queue_name=name)
