"""Brokers to start and to kill: two services with a queue never share one."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from harness.ports import free_port, free_ports, listens
from harness.processes import Process, until

PROGRAMS = {"arq": "redis-server", "celery": "rabbitmq-server"}
"""What must be on the PATH."""

RABBITMQ_ARGUMENTS = "-rabbit dead_letter_worker_publisher_confirm_timeout 5000"
"""As in `compose.yaml`: a retry that is due while RabbitMQ starts would come 3 minutes late."""


class Redis:
    """Redis with the durability of the compose file."""

    def __init__(self, folder: Path) -> None:
        """Choose a port."""
        self.port = free_port()
        data = folder / "redis"
        data.mkdir()
        command = ["redis-server", "--port", str(self.port), "--dir", str(data), "--save", ""]
        command += ["--appendonly", "yes", "--appendfsync", "everysec"]
        command += ["--maxmemory-policy", "noeviction"]
        self.process = Process("redis", command, folder, {}, folder)
        self.environment = {"REDIS_URL": f"redis://127.0.0.1:{self.port}/0"}

    def kill(self) -> None:
        """Kill it."""
        self.process.kill()

    close = kill


class RabbitMQ:
    """A RabbitMQ node with data of its own."""

    def __init__(self, folder: Path) -> None:
        """Choose ports."""
        port, distribution, epmd = free_ports(3)
        self.port = port
        data = folder / "rabbitmq"
        data.mkdir()
        for path in (folder, data):
            path.chmod(0o777)  # as root, Debian's rabbitmq-server becomes the user rabbitmq
        # Not the machine's own configuration, which may name ports of its own.
        (data / "rabbitmq.conf").write_text(f"listeners.tcp.harness = 127.0.0.1:{port}\n")
        self.environment = {"BROKER_URL": f"amqp://guest:guest@127.0.0.1:{port}//"}
        self._pid = data / "pid"
        self._node = {
            "RABBITMQ_CONFIG_FILE": str(data / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(data / "rabbitmq-env.conf"),
            "RABBITMQ_NODENAME": f"harness-{port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(data),
            "RABBITMQ_LOG_BASE": str(data),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_PID_FILE": str(self._pid),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(data / "enabled_plugins"),
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": RABBITMQ_ARGUMENTS,
        }
        self.process = Process("rabbitmq", ["rabbitmq-server"], folder, self._node, folder)

    def kill(self) -> None:
        """Kill the node itself; between it and us there may be a `su` with its own group."""
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(self._pid.read_text()), signal.SIGKILL)
        self.process.kill()

    def close(self) -> None:
        """Kill it, and the epmd that its first start left behind."""
        self.kill()
        if epmd := shutil.which("epmd"):
            environment = os.environ | self._node
            subprocess.run([epmd, "-kill"], env=environment, capture_output=True, check=False)


BROKERS: dict[str, type[Redis | RabbitMQ]] = {"arq": Redis, "celery": RabbitMQ}


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


Brokers = Callable[[str], Broker]
"""The fixture `brokers`: from the name of a backend to its broker."""


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
