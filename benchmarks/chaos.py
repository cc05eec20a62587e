"""Is mail lost, or sent twice, while workers and the broker are killed and PostStack fails?

    uv run python -m benchmarks.chaos BAKE [--messages 300] [--seconds 24] [--quick] [--idle]

BAKE is a generated and installed service with the queue arq or celery. In its environment, on
free ports and in a temporary folder, this starts a broker that is as durable as the one in the
bake's `compose.yaml`, the service, two workers that are restarted when they end, and the sandbox
behind a tenth of errors. Then:

- the receipts of all orders are posted at a steady rate, and whatever is not a 202 is posted again
  with the same order id, as the service's callers are told to;
- every 2 seconds a worker is killed (SIGKILL to its process group), and in the middle the broker,
  which is started again;
- once every accepted mail is at PostStack or in the failed list, repeats are waited for.

With `--idle` one worker is frozen (SIGSTOP) around the arrival of a mail, so that it may have
taken it, and is then killed; four times. The exit code is 1 if anything was lost or sent twice, not
accepted, or given up, and if nothing was killed.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from harness.bakery import SCRIPTS
from harness.brokers import BROKERS
from harness.ports import free_ports, listens
from harness.processes import Process, until
from harness.server import AUTHORIZED

KEY = "sk_test_chaos"
KILL_EVERY = 2.0
BIN = SCRIPTS.name
POSTSTACK = Path(__file__).parent / "services" / "failing.py"
WORKERS = {
    "arq": [f".venv/{BIN}/python", "-m", "app.queue.worker"],
    "celery": [f".venv/{BIN}/celery", "-A", "app.queue.worker", "worker", "--concurrency", "2"],
}


class Worker(Process):
    """A worker under a supervisor, which starts it again whenever it ends."""

    def __init__(self, *arguments: Any) -> None:
        """Say what to run."""
        super().__init__(*arguments)
        self.kills = 0
        self.ends = 0
        self._stopping = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)

    def start_supervised(self) -> None:
        """Start, and keep it running."""
        self.start()
        self._supervisor.start()

    def _supervise(self) -> None:
        while not self._stopping.wait(0.2):
            if not self.running():
                self.ends += 1
                self.signal(signal.SIGKILL)  # children that outlived it
                self.start()

    def kill(self) -> None:
        """Kill it, as a machine that fails does."""
        self.kills += 1
        super().kill()

    def stop(self) -> None:
        """End it and its supervisor."""
        self._stopping.set()
        if self._supervisor.is_alive():
            self._supervisor.join()
        super().kill()


def backend_of(bake: Path) -> str:
    """Find the backend among the dependencies of a bake."""
    project = tomllib.loads((bake / "pyproject.toml").read_text())["project"]
    for backend in BROKERS:
        if any(requirement.startswith(backend) for requirement in project["dependencies"]):
            return backend
    raise SystemExit(f"{bake} has no queue; bake one with queue_backend=arq or celery")


class Stage:
    """Everything that takes part in a run."""

    def __init__(self, bake: Path, backend: str, folder: Path, redelivery: int) -> None:
        """Choose ports, and connect everybody with everybody."""
        self.bake = bake
        self.broker_kills = 0
        self.broker = BROKERS[backend](folder)
        self.api_port, self.poststack_port = free_ports(2)
        self.api_url = f"http://127.0.0.1:{self.api_port}"
        self.poststack_url = f"http://127.0.0.1:{self.poststack_port}"
        self.environment = self.broker.environment | {
            "DATABASE_URL": f"sqlite:///{folder}/service.sqlite3",
            "FASTAPI_ENV": "development",  # production refuses a PostStack without TLS
            "POSTSTACK_API_KEY": KEY,
            "POSTSTACK_BASE_URL": self.poststack_url,
            "PYTHONPATH": str(bake),
            "QUEUE_NAME": "chaos",
            "REDELIVERY_SECONDS": str(redelivery),
        }
        scripts = bake / ".venv" / BIN
        self.poststack = Process(
            "poststack",
            [str(scripts / "python"), str(POSTSTACK), str(self.poststack_port)],
            folder,
            self.environment,
            bake,
        )
        self.api = Process(
            "api",
            [
                str(scripts / "uvicorn"),
                "app.main:app",
                "--port",
                str(self.api_port),
                "--no-access-log",
            ],
            folder,
            self.environment,
            bake,
        )
        self.workers = []
        for name in ("worker-1", "worker-2"):
            command = list(WORKERS[backend])
            if backend == "celery":
                command += ["-n", f"{name}@%h"]
            self.workers.append(Worker(name, command, folder, self.environment, bake))

    def open(self, workers: int) -> None:
        """Start all but the workers beyond `workers`."""
        self.broker.process.start()
        until(lambda: listens(self.broker.port), "the broker")
        self.poststack.start()
        self.api.start()
        for worker in self.workers[:workers]:
            worker.start_supervised()
        until(lambda: listens(self.api_port), "the service")
        until(lambda: listens(self.poststack_port), "PostStack")

    def close(self) -> None:
        """Stop everything."""
        for worker in self.workers:
            worker.stop()
        self.api.kill()
        self.poststack.kill()
        self.broker.close()

    def mails(self) -> Counter[str]:
        """Return how often PostStack accepted each idempotency key as a new mail."""
        messages = self._messages()
        return Counter(message["body"]["idempotency_key"] for message in messages)

    def repeats(self) -> int:
        """Return how many repeats PostStack dropped."""
        return sum(message["repeats"] for message in self._messages())

    def _messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = httpx.get(f"{self.poststack_url}/messages").json()["messages"]
        return found

    def failed(self) -> int:
        """Return how long the failed list is, as the command for it says."""
        command = [str(Path(".venv", BIN, "python")), "-m", "app.queue.failed"]
        environment = os.environ | self.environment
        done = subprocess.run(
            command, cwd=self.bake, env=environment, capture_output=True, text=True, check=True
        )
        return int(done.stdout.splitlines()[-1].split()[0])

    def drain(self, accepted: set[str], quiet: float, seconds: float) -> float:
        """Wait until no mail is missing and none has come for `quiet` seconds, repeats included.

        Returns how long it took until the last one came.
        """
        start = last = time.monotonic()
        seen: tuple[int, int] | None = None
        while time.monotonic() < start + seconds:
            mails, now = self.mails(), time.monotonic()
            if (state := (len(mails), self.repeats())) != seen:
                seen, last = state, now
            if accepted <= set(mails) and now > last + quiet:
                break
            time.sleep(0.1)
        return last - start


class Callers:
    """Those who post orders, and repeat what was not accepted."""

    def __init__(self, url: str) -> None:
        """Post to the service at `url`."""
        self.accepted: set[str] = set()
        self.orders = 0
        self.repeats = 0
        self._url = url

    async def post(self, client: httpx.AsyncClient, number: int) -> None:
        """Post one order until it is accepted, or has not been for 2 minutes: a service is dead."""
        self.orders += 1
        end = time.monotonic() + 120
        order = {
            "order_id": f"chaos-{number}",
            "recipient": f"customer-{number}@example.com",
            "lines": [{"description": "Tea", "amount": "7.50"}],
            "total": "7.50",
        }
        while time.monotonic() < end:
            with contextlib.suppress(httpx.TransportError):
                response = await client.post(f"{self._url}/receipts", json=order)
                if response.status_code == 202:
                    self.accepted.add(response.json()["idempotency_key"])
                    return
                if response.status_code != 503:
                    response.raise_for_status()
            self.repeats += 1
            await asyncio.sleep(0.5)

    async def post_all(self, count: int, seconds: float) -> None:
        """Post all orders at a steady rate."""
        client = httpx.AsyncClient(timeout=10, headers=AUTHORIZED)
        async with client, asyncio.TaskGroup() as posts:
            for number in range(count):
                posts.create_task(self.post(client, number))
                await asyncio.sleep(seconds / count)


def rampage(stage: Stage, seconds: float) -> None:
    """Kill workers every 2 seconds, and the broker once."""
    start = time.monotonic()
    broker_at = start + seconds / 2
    turn = 0
    while time.monotonic() < start + seconds:
        time.sleep(KILL_EVERY)
        stage.workers[turn % len(stage.workers)].kill()
        turn += 1
        if broker_at and time.monotonic() > broker_at:
            broker_at = 0
            stage.broker.kill()
            stage.broker_kills += 1
            time.sleep(1)
            stage.broker.process.start()


def run_chaos(stage: Stage, messages: int, seconds: float) -> Callers:
    """Post under fire."""
    stage.open(workers=2)
    callers = Callers(stage.api_url)
    with ThreadPoolExecutor(1) as pool:
        killer = pool.submit(rampage, stage, seconds)
        asyncio.run(callers.post_all(messages, seconds * 0.75))
        killer.result()  # raises what has stopped it
    return callers


def run_idle(stage: Stage) -> Callers:
    """Freeze an idle worker around the arrival of a mail, then kill it; four times."""
    stage.open(workers=1)
    callers = Callers(stage.api_url)
    [worker, _] = stage.workers

    def post(number: int) -> None:
        async def once() -> None:
            async with httpx.AsyncClient(timeout=10, headers=AUTHORIZED) as client:
                await callers.post(client, number)

        asyncio.run(once())

    post(0)
    for number in range(1, 5):
        stage.drain(callers.accepted, 1, 90)  # so that the worker is up and idle
        time.sleep(2)
        if number % 2:
            worker.signal(signal.SIGSTOP)  # what the broker pushes arrives at nobody
            post(number)
        else:
            post(number)
            time.sleep(0.03 * number)
            worker.signal(signal.SIGSTOP)  # what it has just taken, it will never finish
        time.sleep(1)
        worker.kill()
    return callers


def report(stage: Stage, callers: Callers, backend: str, drained: float, idle: bool) -> bool:
    """Print the table; return whether all is well, and was put to the test."""
    mails = stage.mails()
    failed = stage.failed()
    lost = len(callers.accepted - set(mails)) - failed
    twice = sum(count > 1 for count in mails.values())
    kills = sum(worker.kills for worker in stage.workers)
    ends = sum(worker.ends for worker in stage.workers)
    rows = {
        "backend": backend,
        "accepted by the service": len(callers.accepted),
        "distinct at PostStack": len(mails),
        "lost": lost,
        "accepted twice": twice,
        "repeats that the key absorbed": stage.repeats(),
        "in the failed list": failed,
        "workers killed": kills,
        "brokers killed": stage.broker_kills,
        "workers that ended by themselves": ends - kills,
        "repeats by callers": callers.repeats,
        "seconds until the last mail": f"{drained:.1f}",
    }
    for name, value in rows.items():
        print(f"{name:>33}  {value}")
    killed = kills > 0 and (idle or stage.broker_kills > 0)
    return killed and len(callers.accepted) == callers.orders and not (lost or twice or failed)


def main() -> None:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bake", type=Path)
    parser.add_argument("--backend", choices=BROKERS, help="found in the bake's pyproject.toml")
    parser.add_argument("--messages", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=24)
    parser.add_argument("--quick", action="store_true", help="60 messages in 8 seconds")
    parser.add_argument("--idle", action="store_true", help="freeze and kill an idle worker")
    parser.add_argument("--redelivery", type=int, default=30, help="arq's REDELIVERY_SECONDS")
    options = parser.parse_args()
    if options.quick:
        options.messages, options.seconds, options.redelivery = 60, 8, 10
    # So that everything is stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    bake: Path = options.bake.resolve()
    backend = options.backend or backend_of(bake)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        stage = Stage(bake, backend, Path(name), options.redelivery)
        try:
            if options.idle:
                callers = run_idle(stage)
            else:
                callers = run_chaos(stage, options.messages, options.seconds)
            quiet = options.redelivery + 2
            drained = stage.drain(callers.accepted, quiet, 3 * quiet + 60)
            well = report(stage, callers, backend, drained, options.idle)
            if not well:
                missing = callers.accepted - set(stage.mails())
                print("missing:", *missing)
                for log in sorted(Path(name).rglob("*.log")):
                    lines = log.read_text().splitlines()
                    about = [line for line in lines if any(key in line for key in missing)]
                    print(f"--- {log.name}", *about, "...", *lines[-20:], sep="\n")
        finally:
            stage.close()
    raise SystemExit(not well)


if __name__ == "__main__":
    main()
