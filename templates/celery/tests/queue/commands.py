"""The service, its workers and its operator's commands, as they run in production."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from kombu.connection import Connection
from pydantic import SecretStr

from app.application import create_app
from app.mail.message import Message
from app.queue.failed import list_failed
from app.queue.publisher import create_celery
from app.settings import Settings
from tests.queue.postbox import Postbox, eventually
from tests.service import open_client, router

ROOT = Path(__file__).parents[2]


class Worker:
    """A `celery worker` in a process group of its own."""

    def __init__(self, log: Path, environment: dict[str, str], *options: str) -> None:
        counters = log.with_suffix(".counters")
        counters.mkdir()
        self._log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603  the command is spelled out below
                [
                    *(sys.executable, "-m", "celery", "-A", "app.queue.worker", "worker"),
                    *("--hostname", f"{uuid4().hex}@%h", "--concurrency=2"),
                    *("--without-gossip", "--without-mingle", *options),
                ],
                cwd=log.parent,
                env=environment | {"PROMETHEUS_MULTIPROC_DIR": str(counters)},
                stdout=subprocess.DEVNULL,  # as in compose.yaml
                stderr=output,
                start_new_session=True,
            )

    def log(self) -> str:
        """Return what it and its children have logged so far."""
        return self._log.read_text("utf-8")

    async def expect(self, words: str) -> None:
        """Wait until its log has these words, and show the log if it never does."""
        try:
            await eventually(lambda: words in self.log() or self.process.poll() is not None)
        finally:
            assert words in self.log()

    def stop(self) -> None:
        """Stop it, with time to write its coverage."""
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
class Deployment:
    """A service with a queue of its own, its workers, and the PostStack that they send to."""

    settings: Settings
    postbox: Postbox
    folder: Path
    workers: list[Worker] = field(default_factory=list)

    @property
    def broker(self) -> str:
        """The URL of its RabbitMQ."""
        return self.settings.broker_url.get_secret_value()

    def changed(self, **values: Any) -> Settings:
        """Return its settings with other values."""
        return Settings(**self.settings.model_dump(exclude_unset=True) | values)

    def start_worker(self, *options: str, settings: Settings | None = None) -> Worker:
        """Start a worker, and do not wait for it."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        self.workers.append(Worker(log, environment(settings or self.settings), *options))
        return self.workers[-1]

    async def enqueue(self, message: Message, *keys: str) -> None:
        """Have the service enqueue copies of the message under these idempotency keys."""
        async with open_service(self.settings) as service:
            for key in keys:
                response = await service.post("/enqueue", json=body(message, key))
                assert response.status_code == 202

    async def expect(self, mails: dict[str, int]) -> None:
        """Wait until these messages have been accepted, and repeated so often."""
        await eventually(lambda: mails.items() <= self.postbox.mails().items())

    def failed(self, *arguments: str) -> str:
        """Run the operator's command; returns what it printed."""
        return subprocess.run(  # noqa: S603
            [sys.executable, "-m", "app.queue.failed", *arguments],
            cwd=self.folder,
            env=environment(self.settings),
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def list_failed(self) -> list[str]:
        """Return what the operator's command would list."""
        with create_celery(self.settings) as celery:
            return list_failed(celery).splitlines()

    def count_waiting(self) -> int:
        """Return how many messages are in the queue and with no worker."""
        with Connection(self.broker) as connection:
            channel = connection.default_channel
            return int(channel.queue_declare(self.settings.queue_name, passive=True).message_count)


@asynccontextmanager
async def open_service(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Run the service with the tests' routes, and yield its client."""
    app = create_app(settings)
    app.include_router(router)
    async with open_client(app) as client:
        yield client


def body(message: Message, key: str) -> dict[str, Any]:
    """Write a copy of the message as a request, which gets its time and its id from the service."""
    new = message.model_dump(mode="json", exclude={"created_at", "request_id"})
    return new | {"idempotency_key": key}


def environment(settings: Settings) -> dict[str, str]:
    """Return the settings that have been chosen as environment variables."""
    chosen = {name.upper(): getattr(settings, name) for name in settings.model_fields_set}
    texts = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in chosen.items()
    }
    return os.environ | texts | {"PYTHONPATH": str(ROOT)}
