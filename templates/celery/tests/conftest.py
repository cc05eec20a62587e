"""What the tests of the queue share: a RabbitMQ, a PostStack on a port, and the commands."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from starlette.types import ASGIApp

from app.dispatch import DispatchSettings
from tests.dispatch.broker import DELAYED, exists, find_broker, remove
from tests.dispatch.commands import Bench
from tests.dispatch.postbox import KEY, Postbox, free_port


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a RabbitMQ, where Celery's delayed queues stay only if they were there before."""
    with find_broker(tmp_path_factory.mktemp("rabbitmq")) as url:
        had_delayed = exists(url, DELAYED[0])
        yield url
        if not had_delayed:
            remove(url, queues=DELAYED, exchanges=[*DELAYED, "celery_delayed_delivery"])


@contextmanager
def open_bench(broker: str, folder: Path, serve: Callable[[ASGIApp], str]) -> Iterator[Bench]:
    """Set the bench up on a queue of its own, and leave nothing of it on the broker."""
    name = f"test-{uuid4().hex[:8]}"
    with Postbox().served(serve) as postbox:
        settings = DispatchSettings(
            _env_file=None,
            fastapi_env="development",
            poststack_api_key=KEY,
            poststack_base_url=postbox.url,
            sender_email="sender@example.com",
            database_path=folder / "service.sqlite3",
            broker_url=broker,
            queue_name=name,
        )
        bench = Bench(settings, postbox, folder)
        try:
            yield bench
        finally:
            for worker in bench.workers:
                worker.process.terminate()
            for worker in bench.workers:
                worker.stop()
            exchanges = [name, f"{name}.events", f"{name}.control.pidbox"]
            remove(
                broker,
                queues=[name, f"{name}.failed"],
                exchanges=[*exchanges, f"reply.{name}.control.pidbox"],
            )


@pytest.fixture
def bench(broker: str, tmp_path: Path, serve: Callable[[ASGIApp], str]) -> Iterator[Bench]:
    """A bench without a worker."""
    with open_bench(broker, tmp_path, serve) as bench:
        yield bench


@pytest.fixture(scope="session")
def session_bench(
    broker: str, tmp_path_factory: pytest.TempPathFactory, serve: Callable[[ASGIApp], str]
) -> Iterator[Bench]:
    """A bench for the tests that share a worker."""
    with open_bench(broker, tmp_path_factory.mktemp("bench"), serve) as bench:
        yield bench


@pytest.fixture
async def shared(session_bench: Bench) -> Bench:
    """The shared bench, with its worker running, which shows its counters."""
    if not session_bench.workers:
        own = {"metrics_port": free_port()}
        session_bench.settings = session_bench.settings.model_copy(update=own)
        await session_bench.start_worker().ready()
    return session_bench
