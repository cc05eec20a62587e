"""The service, its commands and its workers, as they run in production."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from socket import gethostname
from uuid import uuid4

import httpx
from kombu.connection import Connection

from app.dispatch import DispatchSettings, publisher
from app.failed import listing
from app.main import create_app
from tests.conftest import AUTHORIZED
from tests.dispatch.postbox import Postbox, eventually
from tests.test_roads import ORDER

ROOT = Path(__file__).parent.parent.parent


class Worker:
    """A `celery worker` in a process group of its own."""

    def __init__(self, log: Path, environment: dict[str, str], *options: str) -> None:
        self.name = f"{uuid4().hex}@{gethostname()}"
        self.counters = log.with_suffix(".counters")
        self.counters.mkdir()
        self._log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603  the command is spelled out below
                [
                    *(sys.executable, "-m", "celery", "-A", "app.worker", "worker"),
                    *("--hostname", self.name, "--concurrency=2"),
                    *("--without-gossip", "--without-mingle", *options),
                ],
                cwd=log.parent,
                env=environment | {"PROMETHEUS_MULTIPROC_DIR": str(self.counters)},
                stdout=subprocess.DEVNULL,  # as in compose.yaml
                stderr=output,
                start_new_session=True,
            )

    def log(self) -> str:
        """What it and its children have said so far."""
        return self._log.read_text()

    async def expect(self, words: str, count: int = 1) -> None:
        """Wait until it has said these words so often; a failure shows what it did say."""
        try:
            await eventually(lambda: self.log().count(words) >= count)
        except AssertionError as error:
            raise AssertionError(self.log()) from error

    async def ready(self) -> None:
        """Wait until it takes jobs."""
        await eventually(lambda: "starts to send" in self.log() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log()

    def children(self) -> list[int]:
        """The processes of its pool."""
        command = ["pgrep", "-P", str(self.process.pid)]
        listing = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603
        return [int(pid) for pid in listing.stdout.split()]

    def stop(self) -> None:
        """End it, with time to say what of the code it has run."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.kill()

    def kill(self) -> None:
        """Kill it and its children, as the end of a machine would."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class Bench:
    """A queue, a PostStack, and what talks to them."""

    settings: DispatchSettings
    postbox: Postbox
    folder: Path
    workers: list[Worker] = field(default_factory=list)

    @property
    def broker(self) -> str:
        """The URL of its RabbitMQ."""
        return self.settings.broker_url.get_secret_value()

    def with_broker(self, url: str) -> DispatchSettings:
        """Its settings, but for where RabbitMQ is."""
        return DispatchSettings(**self.settings.model_dump() | {"broker_url": url})

    def start_worker(self, *options: str, settings: DispatchSettings | None = None) -> Worker:
        """Start a worker, by default with the bench's settings, without waiting for it."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        self.workers.append(Worker(log, environment(settings or self.settings), *options))
        return self.workers[-1]

    async def order(self, *order_ids: str) -> None:
        """Ask the service for receipts, which it takes."""
        async with open_service(self.settings) as service:
            for order_id in order_ids:
                response = await service.post("/receipts", json=ORDER | {"order_id": order_id})
                assert response.status_code == 202
                assert response.json() == {"idempotency_key": f"receipt:{order_id}"}

    async def expect(self, mails: dict[str, int]) -> None:
        """Wait until these messages have been accepted, and repeated so often."""
        await eventually(lambda: mails.items() <= self.postbox.mails().items())

    def failed(self, *arguments: str) -> str:
        """Run the operator's command; returns what it printed."""
        return subprocess.run(  # noqa: S603
            [sys.executable, "-m", "app.failed", *arguments],
            cwd=self.folder,
            env=environment(self.settings),
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def listing(self) -> list[str]:
        """What the operator's command would list."""
        with publisher(self.settings) as celery:
            return listing(celery).splitlines()

    def waiting(self) -> int:
        """How many jobs are in the queue and with no worker."""
        with Connection(self.broker) as connection:
            channel = connection.default_channel
            return int(channel.queue_declare(self.settings.queue_name, passive=True).message_count)


@asynccontextmanager
async def open_service(settings: DispatchSettings) -> AsyncIterator[httpx.AsyncClient]:
    """Run the service, and be its client."""
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://service", headers=AUTHORIZED
        ) as client,
    ):
        yield client


def environment(settings: DispatchSettings) -> dict[str, str]:
    """Describe the settings as environment variables, as a worker finds them."""
    values = {name.upper(): getattr(settings, name) for name in DispatchSettings.model_fields}
    texts = {
        name: value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)
        for name, value in values.items()
    }
    return os.environ | texts | {"PYTHONPATH": str(ROOT)}
