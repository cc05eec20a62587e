"""The worker, as it runs: a real RabbitMQ, real processes, killed where it hurts."""

import asyncio
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from app.application import create_app
from app.mail.message import Message
from app.mail.sender import payload
from app.settings import Settings
from tests.queue.commands import ROOT, Deployment, body, open_service
from tests.queue.postbox import eventually
from tests.service import EVERYTHING, ON_THE_WIRE


async def test_sent(shared: Deployment, message: Message) -> None:
    """A worker sends exactly what was queued; repeated, it is one mail.

    Who gets it and what it says is not in the log.
    """
    await shared.enqueue(message, "test:1", "test:1")

    await shared.expect({"test:1": 1})
    assert shared.postbox.arrived("test:1") == [payload(message)] * 2
    [worker] = shared.workers
    await eventually(lambda: re.search("accepted .+test:1", worker.log()))
    assert "ada@example.com" not in worker.log()
    assert "Hello" not in worker.log()


async def test_everything(shared: Deployment, message: Message) -> None:
    """All that a mail carries arrives, and the database then has no attachment any more."""
    full = Message.model_validate(message.model_dump() | EVERYTHING)

    await shared.enqueue(full, "full")

    await shared.expect({"full": 0})
    [mail] = shared.postbox.arrived("full")
    assert mail.items() >= ON_THE_WIRE.items()
    path = shared.settings.sqlite_path
    assert path
    with closing(sqlite3.connect(path, check_same_thread=False)) as database:
        await eventually(lambda: not list(database.execute("SELECT id FROM attachments")))


async def test_retry(shared: Deployment, message: Message) -> None:
    """A transient error is repeated with the same key, and not before PostStack's time."""
    error = {"error": "Try later.", "code": "unavailable"}
    shared.postbox.answers.append(JSONResponse(error, 503, {"Retry-After": "2"}))
    start = time.monotonic()

    await shared.enqueue(message, "retry")

    await shared.expect({"retry": 0})
    assert time.monotonic() - start > 2
    assert len(shared.postbox.arrived("retry")) == 2
    [worker] = shared.workers
    fields = r"idempotency_key=retry  attempt={}  request_id=[0-9a-f]+"
    assert re.search(r"retry in [23] s  " + fields.format(1) + "\n", worker.log())
    again = r"accepted by PostStack .+  " + fields.format(2) + "  email_id=em_"
    await eventually(lambda: re.search(again, worker.log()))


async def test_child_killed(deployment: Deployment, message: Message) -> None:
    """A pool's process that is killed during a send loses nothing, and its worker goes on."""
    worker = deployment.start_worker()
    deployment.postbox.silent = True
    await deployment.enqueue(message, "test:1")
    await deployment.expect({"test:1": 0})

    [child] = re.findall(r"PostStack opened by process (\d+)", worker.log())
    os.kill(int(child), signal.SIGKILL)
    await deployment.expect({"test:1": 1})
    deployment.postbox.silent = False
    await worker.expect("accepted by PostStack")


async def test_worker_killed(deployment: Deployment, message: Message) -> None:
    """A worker that is killed during a send, children and all, leaves the mail to another."""
    workers = [deployment.start_worker() for _ in range(2)]
    for worker in workers:
        await worker.expect("starts to send")
    deployment.postbox.silent = True
    await deployment.enqueue(message, "test:1")
    await eventually(lambda: deployment.postbox.arrived("test:1"))

    [killed] = [worker for worker in workers if "PostStack opened" in worker.log()]
    killed.kill()
    await deployment.expect({"test:1": 1})
    deployment.postbox.silent = False

    [other] = set(workers) - {killed}
    await other.expect("accepted by PostStack")


@pytest.mark.parametrize(
    ("pool", "clients", "connections"), [("prefork", 2, 2), ("threads", 1, 2), ("solo", 1, 1)]
)
async def test_pool(
    pool: str, clients: int, connections: int, deployment: Deployment, message: Message
) -> None:
    """Each process of a pool has one client; SIGTERM lets it finish, and nothing is sent twice."""
    worker = deployment.start_worker(f"--pool={pool}")
    keys = [f"test:{number}" for number in range(6)]
    await deployment.enqueue(message, *keys)
    await deployment.expect(dict.fromkeys(keys, 0))
    deployment.postbox.silent = True
    await deployment.enqueue(message, "last")
    await deployment.expect({"last": 0})

    worker.process.terminate()
    await asyncio.sleep(0.5)  # time to end, if it did not finish
    deployment.postbox.silent = False

    assert await asyncio.to_thread(worker.process.wait, 10) == 0
    assert Counter(deployment.postbox.mails().values()) == {0: 7}
    assert deployment.count_waiting() == 0
    assert len(deployment.postbox.connections) <= connections
    assert worker.log().count("PostStack opened") == clients


async def test_metrics(shared: Deployment, message: Message) -> None:
    """A worker serves its processes' counters in sum."""
    keys = [f"metrics:{number}" for number in range(4)]
    await shared.enqueue(message, *keys)
    await shared.expect(dict.fromkeys(keys, 0))

    def accepted() -> int:
        shown = httpx.get(f"http://127.0.0.1:{shared.settings.metrics_port}/metrics").text
        [count] = re.findall(r"^mail_accepted_total (\d+)\.0$", shown, re.MULTILINE)
        return int(count)

    await eventually(lambda: accepted() == sum(r + 1 for r in shared.postbox.mails().values()))


async def test_sandbox(
    deployment: Deployment, message: Message, serve: Callable[[ASGIApp], str]
) -> None:
    """A worker without a PostStack setting finds the API's sandbox, on whichever port that is."""
    chosen = {"fastapi_env", "database_url", "broker_url", "queue_name"}
    settings = Settings(**deployment.settings.model_dump(include=chosen))
    await deployment.start_worker(settings=settings).expect("starts to send")
    url = serve(create_app(settings))

    moved = settings.model_copy(update={"port": httpx.URL(url).port})
    async with open_service(moved) as service:
        response = await service.post("/enqueue", json=body(message, "test:1"))

        assert response.status_code == 202
        await eventually(lambda: httpx.get(f"{url}/sandbox/messages").json()["messages"])


def test_worker_refuses(tmp_path: Path) -> None:
    """A worker with a bad setting says which, one line each, and exits with 1."""
    redis = {"FASTAPI_ENV": "development", "BROKER_URL": "redis://:planted@redis"}
    run = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "app.queue.worker", "worker"],
        cwd=tmp_path,
        env=os.environ | redis | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (1, "", 2)
    assert run.stderr.startswith("The service cannot start:\n  BROKER_URL is Redis, ")
