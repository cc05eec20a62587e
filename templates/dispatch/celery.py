"""How a message gets from a request to `send`: as a task in RabbitMQ, which a worker takes.

    dispatch ──> the queue ──> send_email, in a worker ──> PostStack
                     ^                 │
                  requeue           given up
                     │                 v
                     └────── the failed queue

What `dispatch` has taken is in one of the two queues until PostStack has accepted it: a task may
run twice, and PostStack drops the repeat by its idempotency key. The commands:

    celery -A app.dispatch worker           send what is queued, until SIGTERM
    python -m app.dispatch failed           list what was given up
    python -m app.dispatch requeue [KEY]    queue it again, all of it or one message
"""

import asyncio
import json
import logging
import math
import os
import re
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from functools import cache
from threading import Lock
from typing import Any

from amqp.exceptions import AMQPError, MessageNacked
from anyio import CapacityLimiter, to_thread
from anyio.from_thread import BlockingPortal, start_blocking_portal
from celery import Celery, Task
from celery.exceptions import Ignore, Reject
from celery.signals import worker_init, worker_process_shutdown, worker_shutdown
from celery.worker.consumer import Consumer
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import KombuError
from kombu.message import Message as Job
from kombu.utils.url import parse_url
from poststack import AsyncPostStack
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator

from app import metrics
from app.delivery import DEADLINE, PermanentError, TemporaryError, open_poststack, send
from app.messages import Message, now
from app.settings import Settings, in_production, load

GIVE_UP_AFTER = timedelta(hours=48)
"""After that an operator decides: PostStack forgets a key, and so drops no repeats, after 72."""

PATIENCE = 2.0
"""Seconds in which a caller who waits learns that RabbitMQ does not answer."""

CONNECTIONS = 8
"""How many messages one process hands to RabbitMQ at once, each by a thread of its own."""

UNAVAILABLE = (KombuError, AMQPError, OSError)
"""What Celery, kombu and py-amqp raise when RabbitMQ is away, refuses, or takes too long."""

HIDDEN: dict[str, Any] = {"argsrepr": "(...)"}
"""Instead of the mail, where Celery would describe a task: in events, and in some of its errors."""

logger = logging.getLogger(__name__)


class DispatchSettings(Settings):
    """The service's settings, and those of its queue."""

    broker_url: SecretStr = SecretStr("")
    """Where RabbitMQ is, such as `amqps://user:password@rabbitmq.example.com:5671/vhost`."""

    queue_name: str = "mail"
    """Services that share a virtual host of RabbitMQ need a name each."""

    metrics_port: int = Field(0, ge=0, le=65535)
    """Where a worker shows its counters to Prometheus; 0 is nowhere."""

    @field_validator("broker_url")
    @classmethod
    def broker_keeps_mail(cls, url: SecretStr, info: ValidationInfo) -> SecretStr:
        """Find the default, and refuse the brokers that lose mail or let everybody in."""
        value = url.get_secret_value()
        if not value and in_production(info):
            raise ValueError("is missing; write amqps://user:password@host:5671/vhost")
        value = value or "amqp://guest:guest@127.0.0.1:5672//"
        scheme, _, rest = value.partition("://")
        if scheme in ("redis", "rediss", "sentinel"):
            raise ValueError("is Redis, where Celery can lose mail (kombu issue 305); use RabbitMQ")
        # Celery reads a semicolon as the start of another broker's URL.
        if scheme not in ("amqp", "amqps") or not rest or ";" in rest:
            raise ValueError("must be one amqp:// or amqps:// URL, with ; in a password as %3B")
        try:
            parts = parse_url(value)
        except ValueError:
            # Not in kombu's words, which can quote the password.
            raise ValueError("is not a URL; percent-encode the password") from None
        login = (parts["userid"] or "guest", parts["password"] or "guest")
        if in_production(info) and login == ("guest", "guest"):
            raise ValueError("lets guest in, whom everybody knows; give the service its own user")
        return SecretStr(value)

    @field_validator("queue_name")
    @classmethod
    def queue_name_is_one_word(cls, name: str) -> str:
        """Keep a delayed task out of another's queue: to `mail`, `eu.mail` would be its own."""
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,40}", name):
            raise ValueError("must be a letter, then letters, digits or hyphens, all lower-case")
        return name


Dispatch = Callable[[Message], Awaitable[None]]
"""When it returns, RabbitMQ holds the message; otherwise it raises `TemporaryError`."""


@asynccontextmanager
async def open_dispatch(
    settings: DispatchSettings, _poststack: AsyncPostStack
) -> AsyncIterator[Dispatch]:
    """Open the road for mail that must not be lost; RabbitMQ may still be away."""
    with Celery(set_as_current=False) as app:
        app.conf.update(configuration(settings))
        task = app.tasks["send_email"]  # its own; to name ours would configure the worker

        threads = CapacityLimiter(CONNECTIONS)
        idle: asyncio.LifoQueue[Line] = asyncio.LifoQueue()
        for _ in range(CONNECTIONS):
            idle.put_nowait(Line(app))

        async def publish(line: Line, message: Message) -> None:
            try:
                await to_thread.run_sync(line.publish, task, message, limiter=threads)
            finally:
                idle.put_nowait(line)

        async def dispatch(message: Message) -> None:
            try:
                async with asyncio.timeout(PATIENCE):
                    failures = 0
                    while True:
                        line = await idle.get()
                        reused = line.take()
                        # A task of its own: the line is not idle before its thread has ended.
                        publishing = asyncio.create_task(publish(line, message))
                        try:
                            return await asyncio.shield(publishing)
                        except UNAVAILABLE as error:
                            if isinstance(error.__cause__, MessageNacked):
                                await asyncio.sleep(0.1)  # a queue that was made just now
                            elif not reused:  # otherwise this connection has died, not RabbitMQ
                                failures += 1
                                if failures > 1:
                                    raise
                                # While 8 connections make one queue, RabbitMQ may close some.
                                await asyncio.sleep(0.1)
                        finally:
                            if not publishing.done():
                                line.cut()
            except UNAVAILABLE as error:
                logger.warning("%s: not queued: %r", message.idempotency_key, error)
                raise TemporaryError(f"RabbitMQ not reached: {error!r}") from error

        try:
            yield dispatch
        finally:
            for _ in range(CONNECTIONS):
                (await idle.get()).close()


class Line:
    """A connection to RabbitMQ for one thread at a time, which can be cut under its hands.

    A RabbitMQ that hangs would otherwise keep the thread for as long as it does, and 8 such
    threads the next callers out, even when it is back.
    """

    def __init__(self, app: Celery) -> None:
        self._connection: Connection = app.connection_for_write(connect_timeout=PATIENCE)
        self._socket: socket.socket | None = None
        self._cut = False

    def take(self) -> bool:
        """Prepare for the next thread; tells whether it finds an open connection."""
        self._cut = False
        return bool(self._connection.connected)

    def publish(self, task: Task, message: Message) -> None:
        """Queue the message, and connect first where that is still to do."""
        try:
            self._connection.ensure_connection(max_retries=0)
            self._socket = self._connection.connection.sock
            if not self._cut:  # while it connected, which has a timeout of its own
                enqueue(task, message, self._connection)
        except BaseException:
            self.close()
            raise

    def cut(self) -> None:
        """Wake the thread that waits for RabbitMQ."""
        self._cut = True
        if self._socket:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection without a word; a polite close would wait for RabbitMQ."""
        self.cut()
        self._connection.collect()
        if self._socket:
            self._socket.close()  # kombu may have opened another one meanwhile, and lost this one


def enqueue(task: Task, message: Message, connection: Connection | None = None) -> None:
    """Return once RabbitMQ has confirmed that it holds the message."""
    task.apply_async(
        [message.model_dump(mode="json")],
        task_id=message.idempotency_key,  # names it in the log; it keeps no repeat away
        connection=connection,
        declare=declared(task.app.conf.task_default_queue),
        retry=connection is None,
        **HIDDEN,
    )


def declared(name: str) -> list[Queue]:
    """Describe the queue, and the one for what was given up; both survive RabbitMQ's restart."""
    durable = {"x-queue-type": "quorum"}
    # A topic exchange: behind a direct one Celery lets the worker hold a task until its time, and
    # one that waited for PostStack held up all others (12.2 s against 1.1 s).
    queue = Queue(
        name,
        Exchange(name, type="topic"),
        routing_key=name,
        queue_arguments=durable
        | {
            # What Celery rejects instead of running it, and what kills its worker 20 times.
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": f"{name}.failed",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",  # the strategy's condition; there is no limit
            "x-delivery-limit": 20,
        },
    )
    # Listing it delivers all of it, and RabbitMQ 4 drops what was delivered 20 times.
    kept = durable | {"x-delivery-limit": 2**31 - 1}
    failed = Queue(
        f"{name}.failed", Exchange(""), routing_key=f"{name}.failed", queue_arguments=kept
    )
    return [queue, failed]


def configuration(settings: DispatchSettings) -> dict[str, Any]:
    """Choose among Celery's settings; without these it can lose mail, and does not say so."""
    name, url = settings.queue_name, settings.broker_url.get_secret_value()
    return {
        "broker_url": url,
        # The name of the URL's host; py-amqp checks the certificate for one only if told to.
        "broker_use_ssl": {"server_hostname": None} if url.startswith("amqps:") else False,
        "broker_connection_max_retries": None,
        "broker_connection_retry_on_startup": True,
        "broker_heartbeat": 30,  # seconds; a worker that is gone without a word loses its tasks
        # Without it a publish succeeds before RabbitMQ has the task, or though it never will.
        "broker_transport_options": {"confirm_publish": True},
        "control_exchange": f"{name}.control",
        "event_exchange": f"{name}.events",
        "accept_content": ["json"],
        "task_acks_late": True,  # after the attempt: a worker killed during it loses nothing
        "task_reject_on_worker_lost": True,  # nor does a child of it, which the line above forgets
        "task_acks_on_failure": False,  # what a bug raises goes to the failed queue
        "task_acks_on_timeout": False,
        "task_default_exchange": name,
        "task_default_exchange_type": "topic",
        "task_default_queue": name,
        "task_default_routing_key": name,
        "task_ignore_result": True,
        "task_queues": declared(name)[:1],
        # Of an attempt that has outlived its own deadline; the prefork pool then ends the process.
        "task_time_limit": 3 * DEADLINE,
        "worker_consumer": f"{__name__}:Reader",
        "worker_prefetch_multiplier": 1,
        # SIGTERM waits for running attempts as it is, and each has a deadline; this is for SIGQUIT.
        "worker_soft_shutdown_timeout": DEADLINE + 5,
    }


@cache
def worker_settings() -> DispatchSettings:
    """Read the environment, in a worker or a command; the API has settings of its own."""
    return load(DispatchSettings)


celery = Celery("app.dispatch", set_as_current=False)
"""The worker's app, which reads the environment once it is used and not when it is imported."""

celery.add_defaults(lambda: configuration(worker_settings()))


@celery.task(bind=True, name="send_email", max_retries=None, mandatory=True)
def send_email(task: Task, data: Any) -> None:
    """Make one attempt at a message, and if it fails say when to make the next one."""
    attempt = task.request.retries + 1
    try:
        message = Message.model_validate(data)
        sender.send(message)
    except TemporaryError as error:
        delay = error.delay(attempt)
        if now() + timedelta(seconds=delay) > message.accepted_at + GIVE_UP_AFTER:
            give_up(task, str(error))
        try:
            # Rounded up, since Celery rounds down and PostStack may have named the time.
            again = task.retry(exc=error, countdown=math.ceil(delay), throw=False, **HIDDEN)
        except Reject as unpublished:
            # Celery would drop it; so it is the next worker's, at once.
            raise Reject(unpublished.reason, requeue=True) from error
        metrics.RETRIED.inc()
        raise again from None
    except PermanentError as error:
        give_up(task, str(error))
    except ValidationError as error:
        # Without the values, which are somebody's mail.
        fields = [".".join(map(str, fault["loc"])) for fault in error.errors()]
        give_up(task, f"not a message; see {fields}")


def give_up(task: Task, reason: str) -> None:
    """Move the task to the failed queue, with the reason."""
    key, attempt = task.request.id, task.request.retries + 1
    _, failed = declared(task.app.conf.task_default_queue)
    task.apply_async(
        task.request.args,
        task.request.kwargs,
        task_id=key,
        queue=failed,
        headers={"reason": reason[:1000], "attempts": attempt},
        **HIDDEN,
    )
    metrics.FAILED.inc()
    logger.error("%s: given up on attempt %d: %s", key, attempt, reason)
    raise Ignore


class Reader(Consumer):
    """Celery's, but for what is no task of ours: that would be thrown away, or end the worker."""

    def keep(self, _body: Any, job: Job, *_: Any) -> None:
        """Leave it to the dead letters, and its content out of the log."""
        logger.error("%s: not a job of this service", job.headers.get("id"))
        job.reject_log_error(logger, self.connection_errors)

    on_unknown_message = on_unknown_task = on_invalid_task = keep

    def on_decode_error(self, job: Job, _error: Exception) -> None:
        """Keep what is not JSON."""
        self.keep(None, job)


class Sender:
    """This process's event loop and client of PostStack, for as many threads as it has.

    Opened when the first task runs and not before, because only then has prefork forked: a loop
    that was opened earlier hangs in the child. Threads and solo have no fork, and no signal for it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._stack = ExitStack()
        self._opened: tuple[BlockingPortal, AsyncPostStack] | None = None

    def send(self, message: Message) -> None:
        """Send, and wait for the outcome."""
        portal, poststack = self._open()
        portal.call(send, poststack, message)

    def _open(self) -> tuple[BlockingPortal, AsyncPostStack]:
        with self._lock:
            if self._opened is None:
                portal = self._stack.enter_context(start_blocking_portal())
                client = open_poststack(worker_settings(), max_retries=0)  # retries are the task's
                poststack = self._stack.enter_context(portal.wrap_async_context_manager(client))
                self._opened = portal, poststack
                logger.info("PostStack opened by process %d", os.getpid())
            return self._opened

    def close(self, **_: Any) -> None:
        """Close what was opened; a receiver of Celery's signals."""
        self._stack.close()


sender = Sender()
worker_process_shutdown.connect(sender.close)  # prefork, in each child
worker_shutdown.connect(sender.close)  # threads and solo


@worker_init.connect
def show_metrics(**_: Any) -> None:
    """Serve, from a worker's main process, the sum of its children's counters."""
    if port := worker_settings().metrics_port:
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            # Its client decides this when it is imported, so it cannot be set here.
            raise SystemExit("METRICS_PORT needs PROMETHEUS_MULTIPROC_DIR, an empty folder")
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        start_http_server(port, registry=registry)


@contextmanager
def failed_jobs() -> Iterator[Iterator[Job]]:
    """Hold the failed queue's jobs; those not acknowledged go back to it at the end."""
    _, failed = declared(worker_settings().queue_name)
    with celery.connection_for_write(connect_timeout=PATIENCE) as connection:
        connection.ensure_connection(max_retries=0)
        channel = connection.default_channel
        queue = failed(channel)
        queue.declare()
        # As many as there are now: what fails while they are put back waits for the next time.
        count = channel.queue_declare(failed.name, passive=True).message_count
        yield (job for _ in range(count) if (job := queue.get()) is not None)


def message_of(job: Job) -> Message | None:
    """Read the message in a job, if it is one."""
    try:
        [data], *_ = json.loads(job.body)
        return Message.model_validate(data)
    except (TypeError, ValueError):
        return None


def failed() -> str:
    """List what was given up, one line each and without its content."""
    lines = []
    with failed_jobs() as jobs:
        for job in jobs:
            message = message_of(job)
            deaths = job.headers.get("x-death") or [{"reason": "no reason"}]
            reason = job.headers.get("reason", f"{deaths[0]['reason']}; see the worker's log")
            attempts = job.headers.get("attempts", job.headers.get("retries", 0) + 1)
            who = f"{message.recipient}, {message.accepted_at:%F %T%z}" if message else "unreadable"
            lines.append(f"{job.headers.get('id')}: {who}, attempts: {attempts}: {reason}")
    return "\n".join([*lines, f"{len(lines)} failed"])


def requeue(key: str | None = None) -> str:
    """Queue again what was given up, or the message with this `key`; its 48 hours begin anew."""
    count = 0
    with failed_jobs() as jobs:
        for job in jobs:
            message = message_of(job)
            if message and key in (None, message.idempotency_key):
                enqueue(send_email, message.model_copy(update={"accepted_at": now()}))
                job.ack()  # only now: a crash in between leaves it in both queues
                count += 1
    return f"{count} requeued"


def main(arguments: list[str]) -> str:
    """Run a command; `celery -A app.dispatch` has the others."""
    try:
        match arguments:
            case ["failed"]:
                return failed()
            case ["requeue"] | ["requeue", _]:
                return requeue(*arguments[1:])
    except UNAVAILABLE as error:
        raise SystemExit(f"RabbitMQ not reached: {error!r}") from None
    raise SystemExit("usage: python -m app.dispatch failed | requeue [KEY]")


if __name__ == "__main__":
    print(main(sys.argv[1:]))  # noqa: T201  for a person
