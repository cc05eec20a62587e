"""Dispatch through RabbitMQ: what the caller is told, and what RabbitMQ then holds."""

import asyncio
import socket
import threading
import time
from contextlib import closing
from typing import Any

import httpx
import pytest
from poststack import AsyncPostStack

from app.connections import CONNECTIONS, PATIENCE
from app.delivery import TemporaryError
from app.dispatch import DispatchSettings, declared, open_dispatch
from app.settings import load
from tests.conftest import Logged
from tests.dispatch.broker import open_proxy
from tests.dispatch.commands import Bench, open_service
from tests.test_roads import ORDER


async def slowest_health(service: httpx.AsyncClient, until: asyncio.Task[Any]) -> float:
    """Ask for the service's health over and over; returns the longest answer's seconds."""
    slowest = 0.0
    while not until.done():
        start = time.monotonic()
        assert (await service.get("/healthz")).status_code == 200
        slowest = max(slowest, time.monotonic() - start)
        await asyncio.sleep(0.02)
    return slowest


async def post_orders(service: httpx.AsyncClient, count: int) -> list[httpx.Response]:
    """Ask for many receipts at once."""
    orders = [ORDER | {"order_id": f"4-{number}"} for number in range(count)]
    return await asyncio.gather(*(service.post("/receipts", json=order) for order in orders))


def assert_unavailable(responses: list[httpx.Response]) -> None:
    """Each caller was told to come back."""
    assert {response.status_code for response in responses} == {503}
    assert {r.headers["content-type"] for r in responses} == {"application/problem+json"}
    assert all(int(response.headers["retry-after"]) > 0 for response in responses)


async def expect_not_ready(bench: Bench, url: str, poststack: AsyncPostStack) -> None:
    """Open the road to a RabbitMQ that is away: it is noticed, and not waited for twice."""
    async with open_dispatch(bench.with_broker(url), poststack) as nowhere:
        start = time.monotonic()
        with pytest.raises(TemporaryError, match="RabbitMQ not reached") as error:
            await nowhere.ready()

    assert time.monotonic() - start < 2 * PATIENCE
    assert "planted" not in str(error.value)


@pytest.mark.parametrize("accepts", [False, True], ids=["refused", "silent"])
async def test_no_broker(
    accepts: bool, bench: Bench, logged: Logged, poststack: AsyncPostStack
) -> None:
    """Without RabbitMQ no caller waits twice for a 503, and /healthz keeps answering."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"amqp://guest:planted@127.0.0.1:{listener.getsockname()[1]}//"
        if not accepts:
            listener.close()
        async with open_service(bench.with_broker(url)) as service:
            start = time.monotonic()
            asking = asyncio.create_task(service.get("/readyz"))
            noticing = asyncio.create_task(expect_not_ready(bench, url, poststack))
            posting = asyncio.create_task(post_orders(service, 20))
            slowest = await slowest_health(service, posting)

            assert_unavailable(await posting)
            assert time.monotonic() - start < 2 * PATIENCE
            assert slowest < PATIENCE
            response = await asking
            await noticing
    assert (response.status_code, response.json()["detail"]) == (503, "Not ready: queue.")
    line = next(line for line in logged() if line["message"].startswith("not queued: "))
    assert line["idempotency_key"].startswith("receipt:4-")
    assert line["request_id"]


async def test_ready(bench: Bench, poststack: AsyncPostStack) -> None:
    """A RabbitMQ that is there makes the road ready."""
    async with open_dispatch(bench.settings, poststack) as dispatch:
        await dispatch.ready()


async def test_broker_hangs(bench: Bench) -> None:
    """When RabbitMQ hangs, callers get 503 and threads stay few; when it is back, so are we."""
    async with (
        open_proxy(bench.broker) as (proxy, url),
        open_service(bench.with_broker(url)) as service,
    ):
        proxy.flowing.set()
        assert {r.status_code for r in await post_orders(service, 20)} == {202}
        threads = threading.active_count()

        proxy.flowing.clear()
        start = time.monotonic()
        posting = asyncio.create_task(post_orders(service, 60))
        slowest = await slowest_health(service, posting)
        assert_unavailable(await posting)
        assert time.monotonic() - start < 2 * PATIENCE
        assert slowest < PATIENCE
        assert threading.active_count() <= threads + CONNECTIONS

        proxy.flowing.set()
        start = time.monotonic()
        assert {r.status_code for r in await post_orders(service, 20)} == {202}
        assert time.monotonic() - start < PATIENCE


async def test_broker_restarts(bench: Bench) -> None:
    """Connections that died while they were idle cost nobody an error."""
    async with (
        open_proxy(bench.broker) as (proxy, url),
        open_service(bench.with_broker(url)) as service,
    ):
        proxy.flowing.set()
        assert {r.status_code for r in await post_orders(service, 20)} == {202}

        proxy.hang_up()

        assert {r.status_code for r in await post_orders(service, 20)} == {202}


async def test_stored_durably(bench: Bench) -> None:
    """202 means that the job is in a durable quorum queue, as is what is given up later."""
    await bench.order("5001")

    assert bench.waiting() == 1
    for queue in declared(bench.settings.queue_name):
        described = queue.as_dict()
        assert described["durable"]
        assert described["queue_arguments"]["x-queue-type"] == "quorum"


@pytest.mark.parametrize(
    ("mode", "url", "complaint"),
    [
        ("production", "", "BROKER_URL is missing"),
        ("production", "amqp://guest:guest@rabbitmq//", "BROKER_URL lets guest in"),
        ("production", "amqp://rabbitmq//", "BROKER_URL lets guest in"),
        ("production", "redis://:planted@redis:6379/0", "BROKER_URL is Redis"),
        ("development", "rediss://:planted@redis:6379/0", "BROKER_URL is Redis"),
        ("development", "memory://planted", "BROKER_URL must be one amqp://"),
        ("development", "amqp://a:planted@b//;redis://c", "BROKER_URL must be one amqp://"),
        ("development", "amqp://a:planted/2@b//", "BROKER_URL is not a URL"),
    ],
)
def test_broker_refused(
    mode: str, url: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that can lose mail, or that anybody can enter, is refused without its password."""
    monkeypatch.setenv("FASTAPI_ENV", mode)
    monkeypatch.setenv("SENDER_EMAIL", "hello@acme.dev")
    monkeypatch.setenv("POSTSTACK_API_KEY", "sk_live_1")
    monkeypatch.setenv("POSTSTACK_WEBHOOK_SECRET", "whsec_1")
    monkeypatch.setenv("API_KEYS", "planted-8ff2c4a1d09b4e5fb67d3c1aa2e6")
    monkeypatch.setenv("BROKER_URL", url)

    with pytest.raises(SystemExit) as caught:
        load(DispatchSettings)

    text = str(caught.value)
    [line] = [line.strip() for line in text.splitlines() if "BROKER_URL" in line]
    assert line.startswith(complaint)
    assert "planted" not in text


@pytest.mark.parametrize("name", ["", "Mail", "eu.mail", "#", "mail queue", "a" * 42])
def test_queue_name(name: str) -> None:
    """The queue's name is one plain word."""
    with pytest.raises(ValueError, match="must be a letter"):
        DispatchSettings(fastapi_env="development", queue_name=name)


def test_password_is_secret() -> None:
    """The broker's password is in no text that the settings make, be they right or wrong."""
    url = "amqp://mail:planted@rabbitmq:5672/mail"
    settings = DispatchSettings(fastapi_env="development", broker_url=url)
    assert "planted" not in repr(settings) + str(settings) + settings.model_dump_json()

    with pytest.raises(ValueError, match="broker_url") as caught:
        DispatchSettings(fastapi_env="development", broker_url=url + ";")
    assert "planted" not in str(caught.value)
