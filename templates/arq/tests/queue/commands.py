"""The service's commands, run as an operator runs them, and a look at what Redis stores."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.mail.message import Message
from app.settings import Settings
from tests.queue.postbox import KEY, until

ROOT = Path(__file__).parents[2]


class Operator:
    """Runs the commands of one service, and reads its Redis."""

    def __init__(self, settings: Settings, stored: Any, folder: Path) -> None:
        self.settings = settings
        self.queue = settings.queue_name
        self.stored = stored
        self._log = folder / "worker.log"
        self._folder = folder
        self._environment = os.environ | {
            "FASTAPI_ENV": "development",
            "POSTSTACK_API_KEY": KEY,
            "POSTSTACK_BASE_URL": settings.poststack_base_url,
            "REDIS_URL": settings.redis_url.get_secret_value(),
            "QUEUE_NAME": settings.queue_name,
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "REDELIVERY_SECONDS": str(settings.redelivery_seconds),
            "PYTHONPATH": str(ROOT),
        }

    @contextmanager
    def worker(self, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker; if the test does not end it, it must end well on SIGTERM."""
        with self._log.open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "app.queue.worker"],
                cwd=self._folder,
                env=self._environment | environment,
                stderr=log,
            )
            try:
                self.expect_log("starts to send what is in")
                yield worker
                if worker.poll() is None:
                    worker.terminate()
                    assert worker.wait(20) == 0
            finally:
                worker.kill()
                worker.wait()

    @property
    def log(self) -> str:
        """What the last worker has logged."""
        return self._log.read_text("utf-8")

    def expect_log(self, words: str) -> None:
        """Wait until the worker has logged these words."""
        until(lambda: words in self.log)

    def run(self, *command: str, **environment: str) -> tuple[int, str]:
        """Run a module; return its exit code and its output."""
        done = subprocess.run(  # noqa: S603  our own commands
            [sys.executable, "-m", *command],
            cwd=self._folder,
            env=self._environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout


def another(message: Message) -> Message:
    """Copy a message for another reason."""
    return message.model_copy(update={"idempotency_key": "test:2"})
