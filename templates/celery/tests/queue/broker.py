"""A RabbitMQ for the tests, and a proxy to it that can fail."""

import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from amqp.exceptions import NotFound
from kombu.connection import Connection

from tests.queue.postbox import free_port, until
from tests.relay import Relay

LOCAL_BROKER = "amqp://guest:guest@127.0.0.1:5672//"
DELAYED = [f"celery_delayed_{level}" for level in range(28)]
"""The queues in which Celery delays the retries of a whole virtual host."""


@contextmanager
def find_broker(folder: Path) -> Iterator[str]:
    """Use the broker that was named or is there, or start one, or skip."""
    if url := os.environ.get("TEST_BROKER_URL"):
        yield url
    elif answers(LOCAL_BROKER):
        yield LOCAL_BROKER
    elif shutil.which("rabbitmq-server"):
        with own_broker(folder) as url:
            yield url
    else:
        pytest.skip("no RabbitMQ: set TEST_BROKER_URL, start one on port 5672, or install it")


@contextmanager
def own_broker(folder: Path) -> Iterator[str]:
    """Run RabbitMQ with its data in `folder`, on ports that are free."""
    port, distribution, epmd = free_port(), free_port(), free_port()
    folder.chmod(0o777)  # as root, Debian's rabbitmq-server becomes the user rabbitmq
    # Not the machine's own configuration, which may name ports of its own.
    (folder / "rabbitmq.conf").write_text(f"listeners.tcp.test = 127.0.0.1:{port}\n")
    environment = os.environ | {
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
        "RABBITMQ_NODENAME": f"test-{port}@localhost",
        "RABBITMQ_MNESIA_BASE": str(folder),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "ERL_EPMD_PORT": str(epmd),
        "ERL_EPMD_RELAXED_COMMAND_CHECK": "1",
    }
    with (folder / "output").open("wb") as output:
        server = subprocess.Popen(
            ["rabbitmq-server"],  # noqa: S607  the one on PATH is meant
            env=environment,
            stdout=output,
            stderr=output,
        )
    url = f"amqp://guest:guest@127.0.0.1:{port}//"
    try:
        until(lambda: answers(url), 60)
        yield url
    finally:
        # The node itself: between it and us there may be a shell, and a `su` with its own group.
        if (folder / "pid").exists():
            os.kill(int((folder / "pid").read_text()), signal.SIGKILL)
        server.kill()
        server.wait()
        if epmd_command := shutil.which("epmd"):
            # It serves all nodes of a machine, and so outlives the one that started it.
            subprocess.run([epmd_command, "-kill"], env=environment, capture_output=True)  # noqa: PLW1510, S603


def answers(url: str) -> bool:
    """Tell whether a broker lets us in."""
    try:
        with Connection(url, connect_timeout=2) as connection:
            connection.ensure_connection(max_retries=0)
    except Exception:  # whatever is wrong, it is not a broker for us
        return False
    return True


def exists(url: str, queue: str) -> bool:
    """Tell whether a queue is there."""
    with Connection(url) as connection:
        try:
            connection.default_channel.queue_declare(queue, passive=True)
        except NotFound:
            return False
    return True


def remove(url: str, name: str) -> None:
    """Delete what a service with this queue, and its workers, have declared for it."""
    with Connection(url) as connection:
        channel = connection.default_channel
        for queue in (name, f"{name}.failed"):
            channel.queue_delete(queue)
        control = f"{name}.control.pidbox"
        for exchange in (name, f"{name}.events", control, f"reply.{control}"):
            channel.exchange_delete(exchange)


def remove_delayed(url: str) -> None:
    """Delete what Celery has declared for delayed tasks."""
    with Connection(url) as connection:
        channel = connection.default_channel
        for queue in DELAYED:
            channel.queue_delete(queue)
        for exchange in (*DELAYED, "celery_delayed_delivery"):
            channel.exchange_delete(exchange)


class Proxy(Relay):
    """Stands before RabbitMQ, and logs an "owner" in as guest, whom production refuses."""

    @property
    def url(self) -> str:
        """The URL of RabbitMQ by this way."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def translate(self, data: bytes) -> bytes:
        """See `Relay`."""
        return data.replace(b"owner", b"guest")


@asynccontextmanager
async def open_proxy(broker: str) -> AsyncIterator[Proxy]:
    """Open a proxy to this RabbitMQ."""
    to = Connection(broker)
    proxy = Proxy(to.hostname, to.port or 5672)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.close()
