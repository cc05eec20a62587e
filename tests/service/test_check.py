"""Every cell of the product is green with the packages that it installs."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from harness.bakery import UV, Baker, environment, run, tree
from harness.brokers import Brokers
from harness.cells import EACH_CELL, Cell
from harness.container import build, command, compose, shell
from harness.ports import free_port
from harness.server import PRODUCTION, running

STARTED = "starts to send what is in"
"""What a worker logs when it is up."""


@EACH_CELL
def test_check(
    cell: Cell, installed: Baker, brokers: Brokers, record_property: Callable[[str, object], None]
) -> None:
    """Lint, format, strict types, tests and coverage are green as generated."""
    project = installed(*cell)
    before = tree(project)

    # poe runs its tasks with `uv run`, which would install what is newest instead.
    settings = brokers(cell.backend).of_tests() | {"UV_NO_SYNC": "1"}
    printed = run(UV, "run", "--no-sync", "poe", "check", cwd=project, **settings)

    assert f" -- Python {cell.python}." in printed
    assert not re.search(r"\d+ skipped", printed), printed
    assert tree(project) == before
    [passed] = re.findall(r"(\d+) passed", printed)
    [coverage] = re.findall(r"Total coverage: ([\d.]+)%", printed)
    record_property("tests", f"{passed} passed")
    record_property("coverage", f"{coverage} %")


@EACH_CELL
def test_lock(cell: Cell, installed: Baker) -> None:
    """The lock file is in step with the project."""
    run(UV, "lock", "--check", f"--resolution={cell.resolution}", cwd=installed(*cell))


@EACH_CELL
def test_starts(cell: Cell, installed: Baker, brokers: Brokers, tmp_path: Path) -> None:
    """Installed as the image is, with these packages and no tools, it starts in production.

    So does its worker, by the commands of `compose.yaml`.
    """
    project = installed(*cell)
    chosen = ("--python", str(project / ".venv/bin/python"), f"--resolution={cell.resolution}")
    image = build(project, tmp_path / "service", "--no-editable", *chosen)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    # No broker listens there: the service starts all the same, and is not ready.
    no_broker = {
        "REDIS_URL": "redis://:secret@127.0.0.1:1/0",
        "BROKER_URL": "amqp://acme:secret@127.0.0.1:1/acme",
    }

    with running(image, command(project, port), f"{url}/healthz", **PRODUCTION, **no_broker):
        assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
        assert httpx.get(f"{url}/readyz").status_code == (200 if cell.backend == "none" else 503)
        assert httpx.get(f"{url}/sandbox/").status_code == 404
    if cell.backend != "none":
        run_worker(image, compose(project)["worker"], brokers(cell.backend).settings())


def run_worker(image: Path, worker: dict[str, Any], queue: dict[str, str]) -> None:
    """Start a worker, run its health check, and stop it, as Docker would."""
    # RabbitMQ's only user here is guest, whom production refuses.
    mode = PRODUCTION if "REDIS_URL" in queue else {"FASTAPI_ENV": "development"}
    (image / "metrics").mkdir()
    settings = environment() | worker["environment"] | mode | queue
    settings |= {
        "HOSTNAME": socket.gethostname(),
        "METRICS_PORT": str(free_port()),
        "PATH": f"{image / '.venv/bin'}{os.pathsep}{os.environ['PATH']}",
        "PROMETHEUS_MULTIPROC_DIR": str(image / "metrics"),
    }
    log = image / "worker.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            worker["command"],
            cwd=image,
            env=settings,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 30
        while STARTED not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        check = worker["healthcheck"]["test"]
        subprocess.run(shell(check), cwd=image, env=settings, check=True)
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert "Warm shutdown" not in log.read_text(), "Celery prints this past the log"
    if mode == PRODUCTION:
        assert all(json.loads(line)["message"] for line in log.read_text().splitlines())
