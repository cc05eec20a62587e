"""A service whose processes are killed: what runs, who posts, and what came of it."""

import asyncio
import contextlib
import itertools
import signal
import sys
import tempfile
import threading
import time
import tomllib
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import httpx

from harness.bakery import SCRIPTS, run
from harness.brokers import BROKERS
from harness.ports import free_ports, listens
from harness.processes import Process, until
from harness.server import AUTHORIZED

KEY = "sk_test_chaos"
WEBHOOK_SECRET = "whsec_chaos"  # noqa: S105  nobody else knows this service
KILL_EVERY = 2.0
BIN = SCRIPTS.name
P = TypeVar("P", bound=Process)
POSTSTACK = Path(__file__).parent / "services" / "failing.py"


class Supervised(Process):
    """A program under a supervisor, which starts it again whenever it ends."""

    def __init__(self, *arguments: Any) -> None:
        """Say what to run, as for any process."""
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


def worker_command(backend: str, name: str) -> list[str]:
    """Say how a worker is started, by a script of the environment and its arguments."""
    if backend == "arq":
        return ["python", "-m", "app.queue.worker"]
    options = ["--concurrency", "2", "-n", f"{name}@%h"]
    return ["celery", "-A", "app.queue.worker", "worker", *options]


class Stage:
    """A broker, PostStack behind a tenth of errors, API processes, and two workers."""

    def __init__(
        self,
        bake: Path,
        folder: Path,
        *,
        redelivery: int,
        settings: Mapping[str, str],
        homes: Sequence[Path] = (),
    ) -> None:
        """Choose ports, and connect everybody with everybody.

        `settings` are the database and what else the run wants. There is an API process for each
        of `homes`, folders with the code of the bake; by default one, in the bake itself.
        """
        self.bake = bake
        self.backend = backend_of(bake)
        self.broker = BROKERS[self.backend](folder)
        self.broker_kills = 0
        homes = homes or [bake]
        poststack_port, *api_ports = free_ports(1 + len(homes))
        self.poststack_url = f"http://127.0.0.1:{poststack_port}"
        self.api_urls = [f"http://127.0.0.1:{port}" for port in api_ports]
        self.environment = {
            **self.broker.environment,
            **settings,
            "FASTAPI_ENV": "development",  # production refuses a PostStack without TLS
            "POSTSTACK_API_KEY": KEY,
            "POSTSTACK_BASE_URL": self.poststack_url,
            "POSTSTACK_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "QUEUE_NAME": "chaos",
            "REDELIVERY_SECONDS": str(redelivery),
        }

        def program(kind: type[P], name: str, home: Path, script: str, *arguments: str) -> P:
            command = [str(bake / ".venv" / BIN / script), *arguments]
            return kind(name, command, folder, self.environment | {"PYTHONPATH": str(home)}, home)

        self.poststack = program(
            Process, "poststack", bake, "python", str(POSTSTACK), str(poststack_port)
        )
        serve = ("uvicorn", "app.main:app", "--no-access-log", "--port")
        self.apis = [
            program(Supervised, f"api-{number}", home, *serve, str(port))
            for number, (home, port) in enumerate(zip(homes, api_ports, strict=True), 1)
        ]
        self.workers = [
            program(Supervised, name, bake, *worker_command(self.backend, name))
            for name in ("worker-1", "worker-2")
        ]

    def open(self, workers: int = 2) -> None:
        """Start all but the workers beyond `workers`."""
        self.broker.process.start()
        until(lambda: listens(self.broker.port), "the broker")
        self.poststack.start()
        for process in (*self.apis, *self.workers[:workers]):
            process.start_supervised()
        for url in (self.poststack_url, *self.api_urls):
            until(partial(listens, int(url.rpartition(":")[2])), url)

    def kill_broker(self) -> None:
        """Kill the broker, and start it again after a second."""
        self.broker.kill()
        self.broker_kills += 1
        time.sleep(1)
        self.broker.process.start()

    def close(self) -> None:
        """Stop everything."""
        for process in (*self.workers, *self.apis):
            process.stop()
        self.poststack.kill()
        self.broker.close()

    def mails(self) -> Counter[str]:
        """Return how often PostStack accepted each idempotency key as a new mail."""
        return Counter(message["body"]["idempotency_key"] for message in self.messages())

    def repeats(self) -> int:
        """Return how many repeats PostStack dropped."""
        return sum(message["repeats"] for message in self.messages())

    def messages(self) -> list[dict[str, Any]]:
        """Return what PostStack has accepted."""
        found: list[dict[str, Any]] = httpx.get(f"{self.poststack_url}/messages").json()["messages"]
        return found

    def run(self, *command: str) -> str:
        """Run a command in the bake, as one of its processes; return what it printed."""
        return run(*command, cwd=self.bake, **self.environment)

    def failed(self) -> int:
        """Return how long the failed list is, as the command for it says."""
        printed = self.run(f".venv/{BIN}/python", "-m", "app.queue.failed")
        return int(printed.splitlines()[-1].split()[0])

    def ended_by_themselves(self) -> int:
        """Return how often a process ended that was not killed."""
        return sum(process.ends - process.kills for process in (*self.apis, *self.workers))

    def drain(self, accepted: set[str], quiet: float) -> float:
        """Wait until no mail is missing and none has come for `quiet` seconds, repeats included.

        Returns how long it took until the last one came.
        """
        start = last = time.monotonic()
        seconds = 3 * quiet + 60
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

    def __init__(self, urls: Sequence[str]) -> None:
        """Post to the API processes at `urls` in turn, and repeat at the next one."""
        self.accepted: set[str] = set()
        self.orders = 0
        self.repeats = 0
        self._urls = urls

    async def post(self, client: httpx.AsyncClient, number: int) -> None:
        """Post one order until it is accepted, or has not been for 2 minutes: a service is dead."""
        self.orders += 1
        end = time.monotonic() + 120
        order = order_of(number)
        urls = itertools.islice(itertools.cycle(self._urls), number % len(self._urls), None)
        while time.monotonic() < end:
            with contextlib.suppress(httpx.TransportError):
                response = await client.post(f"{next(urls)}/receipts", json=order)
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


def order_of(number: int, **changes: str) -> dict[str, Any]:
    """Make an order as `POST /receipts` takes it."""
    return {
        "order_id": f"chaos-{number}",
        "recipient": f"customer-{number}@example.com",
        "lines": [{"description": "Tea", "amount": "7.50"}],
        "total": "7.50",
        **changes,
    }


S = TypeVar("S", bound=Stage)


def under_fire(
    stage: S, kill: Callable[[S, float], None], messages: int, seconds: float
) -> Callers:
    """Post for three quarters of the time while `kill` kills."""
    callers = Callers(stage.api_urls)
    with ThreadPoolExecutor(1) as pool:
        killer = pool.submit(kill, stage, seconds)
        asyncio.run(callers.post_all(messages, seconds * 0.75))
        killer.result()  # raises what has stopped it
    return callers


def read_options(parser: ArgumentParser, messages: int, seconds: float) -> Namespace:
    """Read the command line; `--quick` is so many messages in so many seconds."""
    parser.add_argument("bake", type=Path)
    parser.add_argument("--messages", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=24)
    parser.add_argument(
        "--quick", action="store_true", help=f"{messages} messages in {seconds:g} seconds"
    )
    parser.add_argument("--redelivery", type=int, default=30, help="arq's REDELIVERY_SECONDS")
    options = parser.parse_args()
    if options.quick:
        options.messages, options.seconds, options.redelivery = messages, seconds, 10
    return options


def perform(
    stage_in: Callable[[Path], S],
    play: Callable[[S], Callers],
    report: Callable[[S, Callers, float], bool],
    redelivery: int,
) -> NoReturn:
    """Make a stage in a folder, play, wait for the last mail, and exit with 1 unless all is well.

    The logs are printed if it is not.
    """
    # So that everything is stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        stage = stage_in(folder)
        try:
            callers = play(stage)
            drained = stage.drain(callers.accepted, redelivery + 2)
            well = report(stage, callers, drained)
            if not well:
                print_logs(folder, callers.accepted - set(stage.mails()))
        except Exception:  # an answer that callers do not repeat, say
            print_logs(folder, ["Traceback", "Error"])
            raise
        finally:
            stage.close()
    raise SystemExit(not well)


def print_table(rows: Mapping[str, object]) -> None:
    """Print a name and a value on each line."""
    for name, value in rows.items():
        print(f"{name:>33}  {value}")


def print_logs(folder: Path, keys: Collection[str]) -> None:
    """Print what the logs say of these idempotency keys, and how each log ends."""
    print("missing:", *keys)
    for log in sorted(folder.rglob("*.log")):
        lines = log.read_text(errors="replace").splitlines()
        about = [line for line in lines if any(key in line for key in keys)]
        print(f"--- {log.name}", *about, "...", *lines[-20:], sep="\n")
