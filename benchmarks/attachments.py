"""How much memory do 50 mails with 5 MB attached take, at once and in each way to send?

    uv run python -m benchmarks.attachments BAKE

BAKE is a generated and installed service. 50 callers ask for a mail each, until all are accepted: a
503 is asked for again. With a queue a worker, as the service's README starts it, then sends what
is queued. Of the API, and of all processes of the worker, this prints the memory before and the
most that there was meanwhile (VmHWM of proc(5); of several processes the sum of each one's most,
which they need not have had at one time).
"""

import argparse
import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path

import httpx

from benchmarks.processes import MEASURED, client, poststack, process, resident, service
from benchmarks.queues import worker
from benchmarks.stage import backend_of
from harness.brokers import running_broker

CALLERS = 50
WAYS = ("send", "send_in_background", "enqueue")


def tree(pid: int) -> list[int]:
    """List a process and all that it has started."""
    found = [pid]
    for each in found:
        children = Path(f"/proc/{each}/task/{each}/children").read_text()
        found += map(int, children.split())
    return found


def most(pids: list[int]) -> float:
    """Return the most memory that processes have had, in MB."""
    return sum(resident(pid, "VmHWM") for pid in pids)


async def ask(port: int, way: str) -> int:
    """Ask until all are accepted; return how often the answer was a 503."""
    refused = 0

    async def one(http: httpx.AsyncClient) -> None:
        nonlocal refused
        while (answer := await http.post(f"/{way}")).status_code == 503:
            refused += 1
            await asyncio.sleep(float(answer.headers["retry-after"]))
        answer.raise_for_status()

    limits = httpx.Limits(max_connections=CALLERS)
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as http:
        await asyncio.gather(*(one(http) for _ in range(CALLERS)))
    return refused


def main() -> None:
    """Measure each way, with a service of its own."""
    parser = argparse.ArgumentParser(prog="benchmarks.attachments")
    parser.add_argument("bake", type=Path)
    bake = parser.parse_args().bake.resolve()
    has_queue = (bake / "app/queue/worker.py").exists()
    backend = backend_of(bake) if has_queue else "none"
    print("way                 process  before   most  503s")
    for way in WAYS:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            api = stack.enter_context(poststack(0.2))
            settings = {}
            if has_queue:
                settings = stack.enter_context(running_broker(backend)).settings()
            opened = service(bake, "attached:app", api.url, folder, **settings)
            port, pid = stack.enter_context(opened)
            before = resident(pid)
            refused = asyncio.run(ask(port, way))
            queued = way == "enqueue" and has_queue
            if not queued:
                api.wait_for(CALLERS)
            print(f"{way:19} API     {before:7.0f} {most([pid]):6.0f} {refused:5}")
            if queued:
                database = {"DATABASE_URL": f"sqlite:///{folder / f'{port}.sqlite3'}"}
                settings |= client(api.url) | database
                command = worker(bake, backend)
                running = stack.enter_context(process(command, bake, MEASURED, **settings))
                api.wait_for(CALLERS)
                print(f"{'':19} worker          {most(tree(running.pid)):6.0f}")


if __name__ == "__main__":
    main()
