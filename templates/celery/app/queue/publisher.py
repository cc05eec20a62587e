"""How a message gets from `Mailer.enqueue` to PostStack: as a task in RabbitMQ for a worker.

    publish ──> the queue ──> worker ──> PostStack
                    ^            │
                 requeue      given up
                    │            v
                    └──── the failed queue

What `publish` has taken is in one of the two queues until PostStack has accepted it: a task may
run twice, and PostStack drops the repeat by its idempotency key.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from celery import Celery
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from poststack import AsyncPostStack

from app.database import Database
from app.logging import log_context
from app.mail.delivery import record
from app.mail.errors import TransientError
from app.mail.log import MailLog, Outcome
from app.mail.mailer import Publisher
from app.mail.message import Message, utc_now
from app.queue.attachments import Attachments, QueuedMessage, to_json
from app.queue.connections import BROKER_ERRORS, ConnectionPool
from app.queue.development import share_sandbox_url
from app.settings import Settings

REDACTED: dict[str, Any] = {"argsrepr": "(...)"}
"""Instead of the mail, where Celery would describe a task: in events, and in some of its errors."""

logger = logging.getLogger(__name__)


class CeleryPublisher:
    """Puts messages into RabbitMQ."""

    def __init__(
        self, celery: Celery, pool: ConnectionPool, log: MailLog, attachments: Attachments
    ) -> None:
        self._celery = celery
        self._pool = pool
        self._log = log
        self._attachments = attachments

    async def publish(self, message: Message) -> None:
        """Return once RabbitMQ holds the message.

        Otherwise raise `TransientError`, or `DatabaseError`.
        """
        began = utc_now()
        with log_context(**message.log_fields):
            queued = await self._attachments.store(message)
            try:
                await self._pool.run(partial(enqueue, self._celery, queued))
            except BROKER_ERRORS as error:
                logger.warning("not queued: %r", error)
                raise TransientError(f"RabbitMQ not reached: {error!r}") from error
            logger.info("queued")
        await record(self._log, message, Outcome("queued", attempts=0, at=began))

    async def check(self) -> None:
        """Return if RabbitMQ answers; otherwise raise `TransientError`, within 2 seconds."""
        try:
            await self._pool.run(lambda connection: connection.channel().close())
        except BROKER_ERRORS as error:
            raise TransientError(f"RabbitMQ not reached: {error!r}") from error


@asynccontextmanager
async def open_publisher(
    settings: Settings, database: Database, _poststack: AsyncPostStack, log: MailLog
) -> AsyncIterator[Publisher]:
    """Open the publisher; RabbitMQ may still be down."""
    with share_sandbox_url(settings), create_celery(settings) as celery:
        pool = ConnectionPool(celery)
        try:
            yield CeleryPublisher(celery, pool, log, Attachments(database))
        finally:
            await pool.close()


def enqueue(celery: Celery, message: QueuedMessage, connection: Connection | None = None) -> None:
    """Return once RabbitMQ has confirmed that it holds the message."""
    name = celery.conf.task_default_queue
    celery.send_task(
        "send_email",
        [to_json(message)],
        task_id=message.idempotency_key,  # names it in the log; it keeps no repeat away
        connection=connection,
        declare=[mail_queue(name), failed_queue(name)],
        ignore_result=True,
        mandatory=True,
        retry=connection is None,
        **REDACTED,
    )


def create_celery(settings: Settings) -> Celery:
    """Make an app that publishes and runs nothing; the worker has its own."""
    celery = Celery(set_as_current=False)
    celery.conf.update(configuration(settings))
    return celery


def configuration(settings: Settings) -> dict[str, Any]:
    """Return those of Celery's settings on which publisher and worker must agree."""
    name, url = settings.queue_name, settings.broker_url.get_secret_value()
    return {
        "broker_heartbeat": 30,  # seconds; a worker that is gone without a word loses its tasks
        "broker_url": url,
        # The name of the URL's host; py-amqp checks the certificate for one only if told to.
        "broker_use_ssl": {"server_hostname": None} if url.startswith("amqps:") else False,
        # Without it a publish succeeds before RabbitMQ has the task, or though it never will.
        "broker_transport_options": {"confirm_publish": True},
        "task_default_exchange": name,
        "task_default_exchange_type": "topic",
        "task_default_queue": name,
        "task_default_routing_key": name,
        "task_queues": [mail_queue(name)],
    }


def mail_queue(name: str) -> Queue:
    """Describe the queue of the mail to send, which survives RabbitMQ's restart."""
    # A topic exchange: behind a direct one Celery lets the worker hold a task until its time, and
    # one that waited for PostStack held up all others (12.2 s against 1.1 s).
    return Queue(
        name,
        Exchange(name, type="topic"),
        routing_key=name,
        queue_arguments={
            "x-queue-type": "quorum",
            # What Celery rejects instead of running it, and what kills its worker 20 times.
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": f"{name}.failed",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",  # the strategy's condition; there is no limit
            "x-delivery-limit": 20,
        },
    )


def failed_queue(name: str) -> Queue:
    """Describe the queue of what was given up, as durable."""
    return Queue(
        f"{name}.failed",
        Exchange(""),
        routing_key=f"{name}.failed",
        queue_arguments={
            "x-queue-type": "quorum",
            # Listing it delivers all of it, and RabbitMQ 4 drops what was delivered 20 times.
            "x-delivery-limit": 2**31 - 1,
        },
    )
