"""The workers: how many emails a second, and how long a mail waits in an idle queue."""

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.processes import MEASURED, OTHERS, SERVICES, beside, client, poststack, process
from harness.bakery import SCRIPTS
from harness.brokers import running_broker

LATENCY = 0.02
CONCURRENCY = 20  # the `max_jobs` of arq's worker

POOLS = {
    "prefork, 4": ["--concurrency", "4"],
    "prefork, 8": ["--concurrency", "8"],
    "threads, 20": ["--pool", "threads", "--concurrency", "20"],
    "solo": ["--pool", "solo"],
}


def worker(bake: Path, backend: str, pool: Sequence[str] = (), *, sends: bool = True) -> list[str]:
    """Return the command of a worker, or of one that sends nothing."""
    scripts = bake / ".venv" / SCRIPTS.name
    module = "app.queue.worker" if sends else "nothing"
    if backend == "arq":
        return [str(scripts / "python"), "-m", module]
    return [str(scripts / "celery"), "--quiet", "-A", module, "worker", *pool]


def mail(bake: Path, *words: str) -> list[str]:
    """Return the command that makes messages."""
    return [str(bake / ".venv" / SCRIPTS.name / "python"), str(SERVICES / "mail.py"), *words]


@beside()
def rate(
    bake: Path, backend: str, count: int, pool: Sequence[str] = (), *, sends: bool = True
) -> float:
    """Fill a queue, start one worker, and count the emails a second that PostStack gets.

    Or the jobs a second of a worker that sends nothing.
    """
    with ExitStack() as stack:
        api = stack.enter_context(poststack(LATENCY))
        settings = stack.enter_context(running_broker(backend)).settings() | client(api.url)
        with process(mail(bake, "enqueue", str(count), "0"), bake, MEASURED, **settings) as filler:
            if filler.wait(120) != 0:
                raise RuntimeError("the queue could not be filled")
        settings |= {"COUNT": str(count)}
        with process(worker(bake, backend, pool, sends=sends), bake, MEASURED, **settings):
            stats = api.wait_for(count if sends else 2)
        return float(count / stats["seconds"])


@beside()
def bare(bake: Path, count: int, concurrency: int = CONCURRENCY) -> float:
    """Count the emails a second of a bare asyncio loop with the same client."""
    with poststack(LATENCY) as api:
        command = mail(bake, "bare", str(count), str(concurrency))
        with process(command, bake, MEASURED, **client(api.url)) as sender:
            sender.wait(120)
        return float(count / api.wait_for(count)["seconds"])


@beside()
def batch(bake: Path, count: int) -> float:
    """Count the emails a second that go a hundred in each call."""
    with poststack(LATENCY) as api:
        with process(mail(bake, "batch", str(count)), bake, MEASURED, **client(api.url)) as sender:
            sender.wait(120)
        stats = api.wait_for(count)
        # From the first call to the last; the answer to the last one is a latency more.
        return float(count / (stats["seconds"] + LATENCY))


@beside()
def delay(bake: Path, backend: str, count: int = 60) -> float:
    """Return the median milliseconds from a message's birth to PostStack, in an idle queue."""
    with ExitStack() as stack:
        api = stack.enter_context(poststack(LATENCY))
        settings = stack.enter_context(running_broker(backend)).settings() | client(api.url)
        stack.enter_context(process(worker(bake, backend), bake, MEASURED, **settings))
        # The first shows that the worker has started, and opens its connections.
        for messages in (1, count):
            api.reset()
            command = mail(bake, "enqueue", str(messages), "0.15")
            with process(command, bake, OTHERS, **settings) as sender:
                sender.wait(120)
            delays = api.wait_for(messages)["delays"]
        return float(statistics.median(delays)) * 1000
