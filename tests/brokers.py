"""A broker for the service of a bake, with nothing of a test left on it afterwards."""

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tests.bakery import run
from tests.server import free_port

RABBITMQ = 5672

# With what the bake's own tests clean up with.
CLEAN = """
import sys
from tests.test_dispatch import DELAYED, LOCAL_BROKER, remove
name, *delayed = sys.argv[1:]
exchanges = [name, f"{name}.events", f"{name}.control.pidbox", f"reply.{name}.control.pidbox"]
remove(LOCAL_BROKER, queues=[name, f"{name}.failed"], exchanges=exchanges)
if delayed:
    remove(LOCAL_BROKER, queues=DELAYED, exchanges=[*DELAYED, "celery_delayed_delivery"])
"""
EXISTS = """
from tests.test_dispatch import DELAYED, LOCAL_BROKER, exists
print(exists(LOCAL_BROKER, DELAYED[0]))
"""


def listens(port: int) -> bool:
    """Say whether somebody accepts connections on this port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def broker(backend: str, project: Path) -> Iterator[dict[str, str]]:
    """Yield the settings that lead a service to a broker; skip where there is none to be had."""
    name = f"test-{uuid4().hex[:8]}"
    if backend == "none":
        yield {}
    elif backend == "arq":
        if (server := shutil.which("redis-server")) is None:
            pytest.skip("no redis-server on the PATH: install Redis")
        port = free_port()
        with tempfile.TemporaryDirectory() as folder:
            command = [server, "--port", str(port), "--save", "", "--dir", folder]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            try:
                yield {"REDIS_URL": f"redis://127.0.0.1:{port}/0", "QUEUE_NAME": name}
            finally:
                process.terminate()
                process.wait()
    else:
        if not listens(RABBITMQ):
            pytest.skip(f"no RabbitMQ on port {RABBITMQ}: start one, with guest allowed in")
        python = [".venv/bin/python", "-c"]
        development = {"FASTAPI_ENV": "development"}
        delayed = "True" in run(*python, EXISTS, cwd=project, **development)
        try:
            yield {"QUEUE_NAME": name}
        finally:
            rest = [] if delayed else ["delayed"]
            run(*python, CLEAN, name, *rest, cwd=project, **development)
