"""How a message gets from a request to `send`: as a task in RabbitMQ, which a worker takes.

    dispatch ──> the queue ──> worker ──> PostStack
                     ^            │
                  requeue      given up
                     │            v
                     └──── the failed queue

What `dispatch` has taken is in one of the two queues until PostStack has accepted it: a task may
run twice, and PostStack drops the repeat by its idempotency key.
"""

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from celery import Celery
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.utils.url import parse_url
from poststack import AsyncPostStack
from pydantic import Field, SecretStr, ValidationInfo, field_validator

from app import logs
from app.connections import UNAVAILABLE, Connections
from app.delivery import TemporaryError
from app.messages import Message
from app.settings import Settings, in_production

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
    """Where a worker shows its counters, to Prometheus and all who reach the port; 0 is nowhere."""

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


class Dispatch:
    """The road for mail that must not be lost: into RabbitMQ."""

    def __init__(self, celery: Celery, connections: Connections) -> None:
        self._celery = celery
        self._connections = connections

    async def __call__(self, message: Message) -> None:
        """Return once RabbitMQ holds the message; otherwise raise `TemporaryError`."""
        try:
            await self._connections.use(partial(enqueue, self._celery, message))
        except UNAVAILABLE as error:
            with logs.bound(**message.log_fields):
                logger.warning("not queued: %r", error)
            raise TemporaryError(f"RabbitMQ not reached: {error!r}") from error

    async def ready(self) -> None:
        """Return if RabbitMQ answers; otherwise raise `TemporaryError`, within 2 seconds."""
        try:
            await self._connections.use(lambda connection: connection.channel().close())
        except UNAVAILABLE as error:
            raise TemporaryError(f"RabbitMQ not reached: {error!r}") from error


@asynccontextmanager
async def open_dispatch(
    settings: DispatchSettings, _poststack: AsyncPostStack
) -> AsyncIterator[Dispatch]:
    """Open the road; RabbitMQ may still be away."""
    with publisher(settings) as celery:
        connections = Connections(celery)
        try:
            yield Dispatch(celery, connections)
        finally:
            await connections.close()


def enqueue(celery: Celery, message: Message, connection: Connection | None = None) -> None:
    """Return once RabbitMQ has confirmed that it holds the message."""
    celery.send_task(
        "send_email",
        [message.model_dump(mode="json")],
        task_id=message.idempotency_key,  # names it in the log; it keeps no repeat away
        connection=connection,
        declare=declared(celery.conf.task_default_queue),
        ignore_result=True,
        mandatory=True,
        retry=connection is None,
        **HIDDEN,
    )


def publisher(settings: DispatchSettings) -> Celery:
    """Make an app that publishes and runs nothing; the worker has its own."""
    celery = Celery(set_as_current=False)
    celery.conf.update(configuration(settings))
    return celery


def configuration(settings: DispatchSettings) -> dict[str, Any]:
    """Choose those of Celery's settings on which publisher and worker must agree."""
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
        "task_queues": declared(name)[:1],
    }


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
