"""Dispatch through RabbitMQ: real workers, killed where it hurts, and a PostStack on a real port.

The broker is TEST_BROKER_URL, or one on this machine, or one that the tests start themselves.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import uvicorn
from amqp.exceptions import NotFound
from kombu.connection import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from app.dispatch import CONNECTIONS, DispatchSettings, declared
from app.main import create_app
from app.settings import load
from sandbox.main import create_sandbox
from tests.test_roads import ORDER

ROOT = Path(__file__).parent.parent
KEY = "sk_test_of_the_tests"
LOCAL_BROKER = "amqp://guest:guest@127.0.0.1:5672//"
DELAYED = [f"celery_delayed_{level}" for level in range(28)]


# The broker.


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a RabbitMQ, where Celery's delayed queues stay only if they were there before."""
    with find_broker(tmp_path_factory.mktemp("rabbitmq")) as url:
        had_delayed = exists(url, DELAYED[0])
        yield url
        if not had_delayed:
            remove(url, queues=DELAYED, exchanges=[*DELAYED, "celery_delayed_delivery"])


@contextmanager
def find_broker(folder: Path) -> Iterator[str]:
    """Use the broker that was named or is there, or start one, or skip."""
    if url := os.environ.get("TEST_BROKER_URL"):
        yield url
    elif answers(LOCAL_BROKER):
        yield LOCAL_BROKER
    elif shutil.which("rabbitmq-server"):
        with own_broker(folder) as url:
            yield url
    else:
        pytest.skip("no RabbitMQ: set TEST_BROKER_URL, start one on port 5672, or install it")


@contextmanager
def own_broker(folder: Path) -> Iterator[str]:
    """Run RabbitMQ with its data in `folder`, on ports that are free."""
    port, distribution, epmd = free_ports(3)
    folder.chmod(0o777)  # as root, Debian's rabbitmq-server becomes the user rabbitmq
    # Not the machine's own configuration, which may name ports of its own.
    (folder / "rabbitmq.conf").write_text(f"listeners.tcp.test = 127.0.0.1:{port}\n")
    environment = os.environ | {
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
        "RABBITMQ_NODENAME": f"test-{port}@localhost",
        "RABBITMQ_MNESIA_BASE": str(folder),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "ERL_EPMD_PORT": str(epmd),
        "ERL_EPMD_RELAXED_COMMAND_CHECK": "1",
    }
    with (folder / "output").open("wb") as output:
        server = subprocess.Popen(
            ["rabbitmq-server"],  # noqa: S607  the one on PATH is meant
            env=environment,
            stdout=output,
            stderr=output,
        )
    url = f"amqp://guest:guest@127.0.0.1:{port}//"
    try:
        wait_until(lambda: answers(url), 60)
        yield url
    finally:
        # The node itself: between it and us there may be a shell, and a `su` with its own group.
        if (folder / "pid").exists():
            os.kill(int((folder / "pid").read_text()), signal.SIGKILL)
        server.kill()
        server.wait()
        if epmd_command := shutil.which("epmd"):
            # It serves all nodes of a machine, and so outlives the one that started it.
            subprocess.run([epmd_command, "-kill"], env=environment, capture_output=True)  # noqa: PLW1510, S603


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports


def answers(url: str) -> bool:
    """Tell whether a broker lets us in."""
    try:
        with Connection(url, connect_timeout=2) as connection:
            connection.ensure_connection(max_retries=0)
    except Exception:  # whatever is wrong, it is not a broker for us
        return False
    return True


def exists(url: str, queue: str) -> bool:
    """Tell whether a queue is there."""
    with Connection(url) as connection:
        try:
            connection.default_channel.queue_declare(queue, passive=True)
        except NotFound:
            return False
    return True


def remove(url: str, *, queues: list[str], exchanges: list[str]) -> None:
    """Delete from the broker what may be there."""
    with Connection(url) as connection:
        channel = connection.default_channel
        for queue in queues:
            channel.queue_delete(queue)
        for exchange in exchanges:
            channel.exchange_delete(exchange)


# PostStack.


@dataclass
class Wire:
    """The sandbox as an ASGI app, with a record of who sent what."""

    sandbox: Any = field(default_factory=lambda: create_sandbox(api_key=KEY))
    bodies: list[dict[str, Any]] = field(default_factory=list)
    callers: list[Any] = field(default_factory=list)
    answers: list[JSONResponse] = field(default_factory=list)
    """Given instead of the sandbox's, one each."""
    held: bool = False
    """Whether senders have to wait for their answer."""
    url: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Record a request, and answer it."""
        if scope["path"] != "/emails":
            await self.sandbox(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await request.body()
        self.bodies.append(json.loads(body))
        self.callers.append(scope["client"])
        while self.held:  # noqa: ASYNC110  the test that decides is in another thread
            await asyncio.sleep(0.02)

        async def again() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        await (self.answers.pop(0) if self.answers else self.sandbox)(scope, again, send)

    def arrived(self) -> list[str]:
        """The idempotency keys that arrived, oldest first."""
        return [body["idempotency_key"] for body in self.bodies]

    def accepted(self) -> dict[str, int]:
        """How often each accepted message has arrived, by its key."""
        messages = httpx.get(f"{self.url}/messages").json()["messages"]
        return {m["body"]["idempotency_key"]: 1 + m["repeats"] for m in messages}


@contextmanager
def open_wire() -> Iterator[Wire]:
    """Serve PostStack on a free port, from a thread."""
    wire = Wire()
    config = uvicorn.Config(wire, port=0, log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    wire.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        wire.held, server.should_exit = False, True
        thread.join()


# The service and its workers.


class Worker:
    """A `celery worker` in a process group of its own."""

    def __init__(self, settings: DispatchSettings, log: Path, *options: str) -> None:
        self._log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603  the command is spelled out below
                [
                    *(sys.executable, "-m", "celery", "-A", "app.dispatch", "worker"),
                    *("--loglevel", "INFO", "--hostname", f"{uuid4().hex}@%h", "--concurrency=2"),
                    *("--without-gossip", "--without-mingle", *options),
                ],
                cwd=log.parent,
                env=environment(settings),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def log(self) -> str:
        """What it and its children have said so far."""
        return self._log.read_text()

    async def ready(self) -> None:
        """Wait until it takes jobs."""
        await eventually(lambda: " ready." in self.log() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log()

    def children(self) -> list[int]:
        """The processes of its pool."""
        command = ["pgrep", "-P", str(self.process.pid)]
        listing = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603
        return [int(pid) for pid in listing.stdout.split()]

    def stop(self) -> None:
        """End it, with time to say what of the code it has run."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.kill()

    def kill(self) -> None:
        """Kill it and its children, as the end of a machine would."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class Bench:
    """A queue, a PostStack, and what talks to them."""

    settings: DispatchSettings
    wire: Wire
    folder: Path
    workers: list[Worker] = field(default_factory=list)

    def start_worker(self, *options: str) -> Worker:
        """Start a worker, without waiting for it."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        self.workers.append(Worker(self.settings, log, *options))
        return self.workers[-1]

    async def order(self, *order_ids: str) -> None:
        """Ask the service for receipts, which it takes."""
        async with open_service(self.settings) as service:
            for order_id in order_ids:
                response = await service.post("/receipts", json=ORDER | {"order_id": order_id})
                assert response.status_code == 202
                assert response.json() == {"idempotency_key": f"receipt:{order_id}"}

    async def accepted(self, *keys: str, seconds: float = 15) -> dict[str, int]:
        """Wait until PostStack has accepted these messages; returns how often each arrived."""
        await eventually(lambda: set(keys) <= set(self.wire.accepted()), seconds)
        return {key: self.wire.accepted()[key] for key in keys}

    def command(self, *arguments: str) -> str:
        """Run one of the operator's commands."""
        return subprocess.run(  # noqa: S603
            [sys.executable, "-m", "app.dispatch", *arguments],
            cwd=self.folder,
            env=environment(self.settings),
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def waiting(self) -> int:
        """How many jobs are in the queue and with no worker."""
        with Connection(self.settings.broker_url.get_secret_value()) as connection:
            channel = connection.default_channel
            return int(channel.queue_declare(self.settings.queue_name, passive=True).message_count)


@contextmanager
def open_bench(broker: str, folder: Path) -> Iterator[Bench]:
    """Set the bench up on a queue of its own, and leave nothing of it on the broker."""
    name = f"test-{uuid4().hex[:8]}"
    with open_wire() as wire:
        settings = DispatchSettings(
            _env_file=None,
            fastapi_env="development",
            poststack_api_key=KEY,
            poststack_base_url=wire.url,
            sender_email="sender@example.com",
            database_path=folder / "service.sqlite3",
            broker_url=broker,
            queue_name=name,
        )
        bench = Bench(settings, wire, folder)
        try:
            yield bench
        finally:
            for worker in bench.workers:
                worker.stop()
            exchanges = [name, f"{name}.events", f"{name}.control.pidbox"]
            remove(
                broker,
                queues=[name, f"{name}.failed"],
                exchanges=[*exchanges, f"reply.{name}.control.pidbox"],
            )


@pytest.fixture
def bench(broker: str, tmp_path: Path) -> Iterator[Bench]:
    """A bench without a worker."""
    with open_bench(broker, tmp_path) as bench:
        yield bench


@pytest.fixture(scope="module")
def module_bench(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A bench for the tests that can share a worker."""
    with open_bench(broker, tmp_path_factory.mktemp("bench")) as bench:
        yield bench


@pytest.fixture
async def shared(module_bench: Bench) -> Bench:
    """The shared bench, with its worker running."""
    if not module_bench.workers:
        await module_bench.start_worker().ready()
    return module_bench


@asynccontextmanager
async def open_service(settings: DispatchSettings) -> AsyncIterator[httpx.AsyncClient]:
    """Run the service, and be its client."""
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client,
    ):
        yield client


def environment(settings: DispatchSettings) -> dict[str, str]:
    """Describe the settings as environment variables, as a worker finds them."""
    values = {name.upper(): getattr(settings, name) for name in DispatchSettings.model_fields}
    texts = {
        name: value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)
        for name, value in values.items()
    }
    return os.environ | texts | {"PYTHONPATH": str(ROOT)}


def wait_until(condition: Callable[[], object], seconds: float = 15) -> None:
    """Wait for what another process or thread does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


async def eventually(condition: Callable[[], object], seconds: float = 15) -> None:
    """Wait without stopping the event loop."""
    await asyncio.to_thread(wait_until, condition, seconds)


# With a worker.


async def test_receipt(shared: Bench) -> None:
    """202 means that a worker sends exactly this; the same order twice is one mail."""
    await shared.order("1001", "1001")

    await eventually(lambda: shared.wire.arrived() == ["receipt:1001"] * 2)
    await eventually(lambda: shared.wire.accepted() == {"receipt:1001": 2})
    first, second = shared.wire.bodies
    assert first == second
    assert first.keys() == {
        *("from", "to", "subject", "html", "text"),
        *("idempotency_key", "idempotency_window_hours"),
    }
    assert first["to"] == ["ada@example.com"]
    assert "Tea &amp; biscuits" in first["html"]
    assert "12.49 EUR" in first["text"]


async def test_retry(shared: Bench) -> None:
    """A temporary error is repeated with the same key, and not before PostStack's time."""
    error = {"error": "Try later.", "code": "unavailable"}
    shared.wire.answers = [JSONResponse(error, 503, {"Retry-After": "2"})]
    start = time.monotonic()

    await shared.order("1002")

    assert await shared.accepted("receipt:1002") == {"receipt:1002": 1}
    assert time.monotonic() - start > 2
    assert shared.wire.arrived().count("receipt:1002") == 2


async def test_given_up(shared: Bench) -> None:
    """A permanent error ends the job; it is logged and listed, and sent after `requeue`."""
    error = {"error": "Invalid API key", "code": "unauthorized"}
    shared.wire.answers = [JSONResponse(error, 401, {"x-request-id": "req_7"})]
    reason = "PostStack answered 401 unauthorized: Invalid API key (request req_7)"
    [worker] = shared.workers

    await shared.order("1003")

    log = f"receipt:1003: given up on attempt 1: {reason}"
    await eventually(lambda: log in worker.log())
    [line, count] = shared.command("failed").splitlines()
    assert line.startswith("receipt:1003: ada@example.com, 20")
    assert line.endswith(f", attempts: 1: {reason}")
    assert count == "1 failed"
    assert shared.command("requeue", "receipt:1003") == "1 requeued\n"
    assert await shared.accepted("receipt:1003") == {"receipt:1003": 1}
    assert shared.command("failed") == "0 failed\n"


async def test_unreadable(shared: Bench) -> None:
    """What is no message, or not even a job, is kept as well; `requeue` leaves it there."""
    name = shared.settings.queue_name
    with Connection(shared.settings.broker_url.get_secret_value()) as connection:
        producer = connection.Producer()
        for number, body in enumerate(["[[{}], {}, {}]", "[[3], {}, {}]", "garbage"]):
            producer.publish(
                body,
                exchange=name,
                routing_key=name,
                headers={"task": "send_email", "id": f"unreadable:{number}"},
                content_type="application/json",
                content_encoding="utf-8",
            )
        producer.publish({}, exchange=name, routing_key=name, headers={"task": "no_such_task"})

    [worker] = shared.workers
    await eventually(lambda: "unreadable:1" in worker.log() and "None: not a job" in worker.log())
    await asyncio.sleep(0.2)

    lines = shared.command("failed").splitlines()
    assert lines[4:] == ["4 failed"]
    assert sorted(line.rpartition(": ")[0].split(": ")[0] for line in lines[:4]) == [
        "None",
        "unreadable:0",
        "unreadable:1",
        "unreadable:2",
    ]
    assert shared.command("requeue") == "0 requeued\n"
    remove(shared.settings.broker_url.get_secret_value(), queues=[f"{name}.failed"], exchanges=[])


async def test_child_killed(shared: Bench) -> None:
    """A pool's process that is killed during a send loses nothing, and its worker goes on."""
    [worker] = shared.workers
    shared.wire.held = True
    await shared.order("1004")
    await eventually(lambda: "receipt:1004" in shared.wire.arrived())

    for child in worker.children():
        os.kill(child, signal.SIGKILL)
    await eventually(lambda: shared.wire.arrived().count("receipt:1004") == 2)
    shared.wire.held = False

    await eventually(lambda: shared.wire.accepted().get("receipt:1004") == 2)


async def test_discretion(shared: Bench) -> None:
    """The log names messages by their keys; who gets them and what they say is not in it."""
    [worker] = shared.workers
    await shared.order("1005")
    await shared.accepted("receipt:1005")

    assert "receipt:1005" in worker.log()
    assert "ada@example.com" not in worker.log()
    assert "biscuits" not in worker.log()


async def test_worker_killed(bench: Bench) -> None:
    """A worker that is killed during a send, children and all, leaves the mail to another."""
    workers = [bench.start_worker() for _ in range(2)]
    for worker in workers:
        await worker.ready()
    bench.wire.held = True
    await bench.order("2001")
    await eventually(lambda: bench.wire.arrived() == ["receipt:2001"])

    [its_worker] = [worker for worker in workers if "receipt:2001" in worker.log()]
    its_worker.kill()
    await eventually(lambda: len(bench.wire.bodies) == 2)
    bench.wire.held = False

    await eventually(lambda: bench.wire.accepted() == {"receipt:2001": 2})


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
async def test_pool(pool: str, bench: Bench) -> None:
    """Each process of a pool has one client; SIGTERM lets it finish, and nothing is sent twice."""
    worker = bench.start_worker(f"--pool={pool}")
    orders = [f"300{number}" for number in range(6)]
    await bench.order(*orders)
    await bench.accepted(*(f"receipt:{order}" for order in orders))
    bench.wire.held = True
    await bench.order("3006")
    await eventually(lambda: len(bench.wire.bodies) == 7)

    worker.process.terminate()
    await asyncio.sleep(0.5)
    bench.wire.held = False

    assert await asyncio.to_thread(worker.process.wait, 10) == 0
    assert Counter(bench.wire.accepted().values()) == {1: 7}
    assert bench.waiting() == 0
    connections = {"prefork": 2, "threads": 2, "solo": 1}[pool]
    assert len(set(bench.wire.callers)) <= connections
    assert worker.log().count("PostStack opened") == {"prefork": 2, "threads": 1, "solo": 1}[pool]


# Without a broker.


class Proxy:
    """Stands between the service and RabbitMQ, and can stop answering or hang up."""

    def __init__(self, broker: str) -> None:
        self.flowing = asyncio.Event()
        self._to = Connection(broker)
        self._writers: list[asyncio.StreamWriter] = []
        self._pipes: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect a caller to RabbitMQ."""
        there = await asyncio.open_connection(self._to.hostname, self._to.port or 5672)
        self._writers += [writer, there[1]]
        pipes = {
            asyncio.create_task(self._pipe(reader, there[1])),
            asyncio.create_task(self._pipe(there[0], writer)),
        }
        self._pipes |= pipes

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self.flowing.wait()
                writer.write(data)
        writer.close()

    def hang_up(self) -> None:
        """Cut all connections, as the end of RabbitMQ would."""
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def open_proxy(bench: Bench) -> AsyncIterator[tuple[Proxy, DispatchSettings]]:
    """Open a proxy, and the settings that lead to it."""
    proxy = Proxy(bench.settings.broker_url.get_secret_value())
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"amqp://guest:guest@127.0.0.1:{port}//"
    try:
        yield proxy, DispatchSettings(**bench.settings.model_dump() | {"broker_url": url})
    finally:
        proxy.flowing.set()
        proxy.hang_up()
        server.close()


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


@pytest.mark.parametrize("accepts", [False, True], ids=["refused", "silent"])
async def test_no_broker(accepts: bool, bench: Bench) -> None:
    """Without RabbitMQ a caller gets 503 within 3 seconds, and /healthz keeps answering."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"amqp://guest:guest@127.0.0.1:{listener.getsockname()[1]}//"
        if not accepts:
            listener.close()
        settings = DispatchSettings(**bench.settings.model_dump() | {"broker_url": url})
        async with open_service(settings) as service:
            start = time.monotonic()
            posting = asyncio.create_task(post_orders(service, 20))
            slowest = await slowest_health(service, posting)

            assert_unavailable(await posting)
            assert time.monotonic() - start < 3
            assert slowest < 1


async def test_broker_hangs(bench: Bench) -> None:
    """When RabbitMQ hangs, callers get 503 and threads stay few; when it is back, so are we."""
    async with open_proxy(bench) as (proxy, settings), open_service(settings) as service:
        proxy.flowing.set()
        assert {r.status_code for r in await post_orders(service, 20)} == {202}
        threads = threading.active_count()

        proxy.flowing.clear()
        start = time.monotonic()
        posting = asyncio.create_task(post_orders(service, 60))
        slowest = await slowest_health(service, posting)
        assert_unavailable(await posting)
        assert time.monotonic() - start < 3
        assert slowest < 1
        assert threading.active_count() <= threads + CONNECTIONS

        proxy.flowing.set()
        start = time.monotonic()
        assert {r.status_code for r in await post_orders(service, 20)} == {202}
        assert time.monotonic() - start < 1


async def test_broker_restarts(bench: Bench) -> None:
    """Connections that died while they were idle cost nobody an error."""
    async with open_proxy(bench) as (proxy, settings), open_service(settings) as service:
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


# The settings.


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


def test_worker_refuses(tmp_path: Path) -> None:
    """A worker with a bad setting says which, one line each, and exits with 1."""
    redis = {"FASTAPI_ENV": "development", "BROKER_URL": "redis://:planted@redis"}
    run = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "app.dispatch", "worker"],
        cwd=tmp_path,
        env=os.environ | redis | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 1
    [title, line] = run.stderr.splitlines()
    assert (title, line.split(";")[0]) == (
        "The service cannot start:",
        "  BROKER_URL is Redis, where Celery can lose mail (kombu issue 305)",
    )
    assert run.stdout == ""
