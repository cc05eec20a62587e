"""What the tests of the queue share: a Redis, a PostStack on a port, and the commands."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from poststack import AsyncPostStack
from starlette.types import ASGIApp

from app.dispatch import PROMPT, Dispatch, DispatchSettings, Queue, open_dispatch, open_queue
from tests.dispatch.broker import redis_of_our_own, unused_database
from tests.dispatch.commands import Service
from tests.dispatch.postbox import Postbox


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis: the one that `TEST_REDIS_URL` names, one that runs already, or one of our own."""
    with ExitStack() as stack:
        url = os.environ.get("TEST_REDIS_URL") or unused_database()
        yield url or stack.enter_context(redis_of_our_own(tmp_path_factory.mktemp("redis")))


@pytest.fixture
def postbox(serve: Callable[[ASGIApp], str]) -> Iterator[Postbox]:
    """PostStack."""
    with Postbox().served(serve) as postbox:
        yield postbox


@pytest.fixture
def settings(settings: DispatchSettings, redis_url: str, postbox: Postbox) -> DispatchSettings:
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
