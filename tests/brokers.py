"""Brokers of the tests' own: two services with a queue never meet in one."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from benchmarks.chaos import BROKERS, listens, until

PROGRAMS = {"arq": "redis-server", "celery": "rabbitmq-server"}


class Broker:
    """A broker that runs."""

    def __init__(self, environment: dict[str, str]) -> None:
        """Take the setting that leads a service to it."""
        self._environment = environment

    def settings(self) -> dict[str, str]:
        """Return settings for one service, which has the queue to itself."""
        return self._environment | {"QUEUE_NAME": f"test-{uuid4().hex[:8]}"}

    def of_tests(self) -> dict[str, str]:
        """Return what leads a bake's own tests to it."""
        return {f"TEST_{name}": url for name, url in self._environment.items()}


@contextmanager
def running_broker(backend: str) -> Iterator[Broker]:
    """Start the broker of a queue, as durable as the one in `compose.yaml`, in a new folder."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        broker = BROKERS[backend](Path(name))
        try:
            broker.process.start()
            until(lambda: listens(broker.port), f"the broker of {backend}")
            yield Broker(broker.environment)
        finally:
            broker.close()
