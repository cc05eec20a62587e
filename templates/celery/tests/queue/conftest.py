"""What the tests of the queue share: a RabbitMQ, a PostStack on a port, and a deployment."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr
from starlette.types import ASGIApp

from app.settings import Settings
from tests.queue.broker import DELAYED, exists, find_broker, remove, remove_delayed
from tests.queue.commands import Deployment
from tests.queue.postbox import KEY, Postbox, free_port


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a RabbitMQ, where Celery's delayed queues stay only if they were there before."""
    with find_broker(tmp_path_factory.mktemp("rabbitmq")) as url:
        had_delayed = exists(url, DELAYED[0])
        yield url
        if not had_delayed:
            remove_delayed(url)


@contextmanager
def open_deployment(
    broker: str, folder: Path, serve: Callable[[ASGIApp], str], database: Path
) -> Iterator[Deployment]:
    """Prepare a deployment with a queue of its own, and leave nothing of it on the broker."""
    name = f"test-{uuid4().hex[:8]}"
    with Postbox().served(serve) as postbox:
        settings = Settings(
            _env_file=None,
            fastapi_env="development",
            poststack_api_key=KEY,
            poststack_base_url=postbox.url,
            database_url=SecretStr(f"sqlite:///{shutil.copy(database, folder)}"),
            broker_url=broker,
            queue_name=name,
        )
        deployment = Deployment(settings, postbox, folder)
        try:
            yield deployment
        finally:
            for worker in deployment.workers:
                worker.stop()
            remove(broker, name)


@pytest.fixture
def deployment(
    broker: str, tmp_path: Path, serve: Callable[[ASGIApp], str], migrated: Path
) -> Iterator[Deployment]:
    """A deployment without a worker."""
    with open_deployment(broker, tmp_path, serve, migrated) as deployment:
        yield deployment


@pytest.fixture(scope="session")
def session_deployment(
    broker: str,
    tmp_path_factory: pytest.TempPathFactory,
    serve: Callable[[ASGIApp], str],
    migrated: Path,
) -> Iterator[Deployment]:
    """A deployment for the tests that share a worker."""
    folder = tmp_path_factory.mktemp("shared")
    with open_deployment(broker, folder, serve, migrated) as deployment:
        yield deployment


@pytest.fixture
async def shared(session_deployment: Deployment) -> Deployment:
    """The shared deployment, with its worker running, which serves metrics."""
    if not session_deployment.workers:
        session_deployment.settings = session_deployment.changed(metrics_port=free_port())
        await session_deployment.start_worker().expect("starts to send")
    return session_deployment
