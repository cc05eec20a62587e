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

import asyncio
import signal
import time
from argparse import ArgumentParser
from functools import partial
from pathlib import Path

import httpx

from benchmarks.stage import (
    KILL_EVERY,
    Callers,
    Stage,
    perform,
    print_table,
    read_options,
    under_fire,
)
from harness.server import AUTHORIZED


def rampage(stage: Stage, seconds: float) -> None:
    """Kill workers every 2 seconds, and the broker once."""
    start = time.monotonic()
    turn = 0
    while time.monotonic() < start + seconds:
        time.sleep(KILL_EVERY)
        stage.workers[turn % len(stage.workers)].kill()
        turn += 1
        if not stage.broker_kills and time.monotonic() > start + seconds / 2:
            stage.kill_broker()


def run_idle(stage: Stage) -> Callers:
    """Freeze an idle worker around the arrival of a mail, then kill it; four times."""
    stage.open(workers=1)
    callers = Callers(stage.api_urls)
    [worker, _] = stage.workers

    def post(number: int) -> None:
        async def once() -> None:
            async with httpx.AsyncClient(timeout=10, headers=AUTHORIZED) as client:
                await callers.post(client, number)

        asyncio.run(once())

    post(0)
    for number in range(1, 5):
        stage.drain(callers.accepted, 1)  # so that the worker is up and idle
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


def report(stage: Stage, callers: Callers, drained: float, *, idle: bool) -> bool:
    """Print the table; return whether all is well, and was put to the test."""
    mails = stage.mails()
    failed = stage.failed()
    lost = len(callers.accepted - set(mails)) - failed
    twice = sum(count > 1 for count in mails.values())
    kills = sum(worker.kills for worker in stage.workers)
    rows = {
        "backend": stage.backend,
        "accepted by the service": len(callers.accepted),
        "distinct at PostStack": len(mails),
        "lost": lost,
        "accepted twice": twice,
        "repeats that the key absorbed": stage.repeats(),
        "in the failed list": failed,
        "workers killed": kills,
        "brokers killed": stage.broker_kills,
        "ended by themselves": stage.ended_by_themselves(),
        "repeats by callers": callers.repeats,
        "seconds until the last mail": f"{drained:.1f}",
    }
    print_table(rows)
    killed = kills > 0 and (idle or stage.broker_kills > 0)
    return killed and len(callers.accepted) == callers.orders and not (lost or twice or failed)


def main() -> None:
    """Read the command line, and run."""
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--idle", action="store_true", help="freeze and kill an idle worker")
    options = read_options(parser, messages=60, seconds=8)

    def stage_in(folder: Path) -> Stage:
        database = {"DATABASE_URL": f"sqlite:///{folder}/service.sqlite3"}
        bake: Path = options.bake.resolve()
        return Stage(bake, folder, redelivery=options.redelivery, settings=database)

    def play(stage: Stage) -> Callers:
        if options.idle:
            return run_idle(stage)
        stage.open()
        return under_fire(stage, rampage, options.messages, options.seconds)

    perform(stage_in, play, partial(report, idle=options.idle), options.redelivery)


if __name__ == "__main__":
    main()
