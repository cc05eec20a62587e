"""The worker, as it runs: a real RabbitMQ, real processes, killed where it hurts."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from starlette.responses import JSONResponse

from tests.dispatch.commands import ROOT, Bench, environment
from tests.dispatch.postbox import eventually


async def test_receipt(shared: Bench) -> None:
    """202 means that a worker sends exactly this; the same order twice is one mail."""
    await shared.order("1001", "1001")

    await shared.expect({"receipt:1001": 1})
    first, second = shared.postbox.arrived("receipt:1001")
    assert first == second
    assert first.keys() == {
        *("from", "to", "subject", "html", "text"),
        *("idempotency_key", "idempotency_window_hours"),
    }
    assert first["to"] == ["ada@example.com"]
    assert "Tea &amp; biscuits" in first["html"]
    assert "12.49 EUR" in first["text"]


async def test_retry(shared: Bench) -> None:
    """A temporary error is repeated with the same key, and not before PostStack's time."""
    error = {"error": "Try later.", "code": "unavailable"}
    shared.postbox.answers.append(JSONResponse(error, 503, {"Retry-After": "2"}))
    start = time.monotonic()

    await shared.order("1002")

    await shared.expect({"receipt:1002": 0})
    assert time.monotonic() - start > 2
    assert len(shared.postbox.arrived("receipt:1002")) == 2
    [worker] = shared.workers
    about = r"idempotency_key=receipt:1002  attempt={}  request_id=[0-9a-f]+"
    assert re.search(r"again in [23] s  " + about.format(1) + "\n", worker.log())
    again = r"accepted by PostStack .+  " + about.format(2) + "  email_id=em_"
    await eventually(lambda: re.search(again, worker.log()))


async def test_child_killed(bench: Bench) -> None:
    """A pool's process that is killed during a send loses nothing, and its worker goes on."""
    worker = bench.start_worker()
    bench.postbox.silent = True
    await bench.order("1004")
    await bench.expect({"receipt:1004": 0})

    for child in worker.children():
        os.kill(child, signal.SIGKILL)
    await bench.expect({"receipt:1004": 1})
    bench.postbox.silent = False
    await eventually(lambda: "accepted by PostStack" in worker.log())
    worker.kill()


async def test_discretion(shared: Bench) -> None:
    """The log names messages by their keys; who gets them and what they say is not in it."""
    [worker] = shared.workers
    await shared.order("1005")
    await eventually(lambda: re.search("accepted .+receipt:1005", worker.log()))

    assert "ada@example.com" not in worker.log()
    assert "biscuits" not in worker.log()


async def test_worker_killed(bench: Bench) -> None:
    """A worker that is killed during a send, children and all, leaves the mail to another."""
    workers = [bench.start_worker() for _ in range(2)]
    for worker in workers:
        await worker.ready()
    bench.postbox.silent = True
    await bench.order("2001")
    await eventually(lambda: bench.postbox.arrived("receipt:2001"))

    [its_worker] = [worker for worker in workers if "PostStack opened" in worker.log()]
    its_worker.kill()
    await bench.expect({"receipt:2001": 1})
    bench.postbox.silent = False

    [other] = set(workers) - {its_worker}
    await eventually(lambda: "accepted by PostStack" in other.log())
    other.kill()


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
async def test_pool(pool: str, bench: Bench) -> None:
    """Each process of a pool has one client; SIGTERM lets it finish, and nothing is sent twice."""
    worker = bench.start_worker(f"--pool={pool}")
    orders = [f"300{number}" for number in range(6)]
    await bench.order(*orders)
    await bench.expect({f"receipt:{order}": 0 for order in orders})
    bench.postbox.silent = True
    await bench.order("3006")
    await bench.expect({"receipt:3006": 0})

    worker.process.terminate()
    await asyncio.sleep(0.5)
    bench.postbox.silent = False

    assert await asyncio.to_thread(worker.process.wait, 10) == 0
    assert Counter(bench.postbox.mails().values()) == {0: 7}
    assert bench.waiting() == 0
    connections = {"prefork": 2, "threads": 2, "solo": 1}[pool]
    assert len(bench.postbox.connections) <= connections
    assert worker.log().count("PostStack opened") == {"prefork": 2, "threads": 1, "solo": 1}[pool]


async def test_metrics(shared: Bench) -> None:
    """A worker shows its processes' counters in sum; the health check adds none of its own."""
    [worker] = shared.workers
    orders = [f"110{number}" for number in range(4)]
    await shared.order(*orders)
    await shared.expect({f"receipt:{order}": 0 for order in orders})

    def accepted() -> int:
        shown = httpx.get(f"http://127.0.0.1:{shared.settings.metrics_port}/metrics").text
        [count] = re.findall(r"^mail_accepted_total (\d+)\.0$", shown, re.MULTILINE)
        return int(count)

    await eventually(lambda: accepted() == sum(r + 1 for r in shared.postbox.mails().values()))
    files = set(worker.counters.iterdir())
    [command] = re.findall(r'"([^"]+ inspect ping [^"]+)"', (ROOT / "compose.yaml").read_text())
    counters = {"PROMETHEUS_MULTIPROC_DIR": str(worker.counters)}
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    check = await asyncio.create_subprocess_shell(
        command.replace("celery@$$HOSTNAME", worker.name),
        cwd=shared.folder,
        env=environment(shared.settings) | counters | path,
        stdout=subprocess.DEVNULL,
    )
    assert await check.wait() == 0
    assert set(worker.counters.iterdir()) == files


def test_worker_refuses(tmp_path: Path) -> None:
    """A worker with a bad setting says which, one line each, and exits with 1."""
    redis = {"FASTAPI_ENV": "development", "BROKER_URL": "redis://:planted@redis"}
    run = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "app.worker", "worker"],
        cwd=tmp_path,
        env=os.environ | redis | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 1
    [title, line] = run.stderr.splitlines()
    assert (title, line.split(";")[0]) == (
        "The service cannot start:",
        "  BROKER_URL is Redis, where Celery can lose mail (kombu issue 305)",
    )
    assert run.stdout == ""
