"""Do several machines lose mail, send it twice or contradict each other, while all are killed?

    uv run python -m benchmarks.machines BAKE [--messages 300] [--seconds 24] [--quick]

BAKE is a generated and installed service with the queue arq or celery. In its environment, on
free ports and in a temporary folder, this starts a PostgreSQL, a broker that is as durable as the
one in the bake's `compose.yaml`, the sandbox behind a tenth of errors, three API processes with a
folder of their own each, and two workers. Then:

- the receipts of all orders are posted to the three in turn, and whatever is not a 202 is posted
  again, with the same order id, to the next one;
- every 2 seconds an API process or a worker is killed (SIGKILL) and started again by its
  supervisor, after a third of the time PostgreSQL, and after two thirds the broker;
- once every accepted mail is at PostStack and repeats have been waited for, the mail log, read
  over HTTP from the three in turn, must within a minute say the same of every receipt as PostStack;
- a bounce that one is told must be known to the other two on the next request;
- of 5 signups too many for one mailbox, at all three at once, 5 must get a 429.

The exit code is 1 if anything of this does not hold, or if nothing was killed.
"""

import asyncio
import hashlib
import hmac
import itertools
import json
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

from benchmarks.stage import (
    BIN,
    KILL_EVERY,
    WEBHOOK_SECRET,
    Callers,
    Stage,
    Supervised,
    order_of,
    perform,
    print_table,
    read_options,
    under_fire,
)
from harness.postgresql import PostgreSQL
from harness.server import AUTHORIZED

APIS = 3
LOG_TIMEOUT = 60
"""Seconds in which the mail log must agree with PostStack: what a worker could not write, it writes
with its next attempt, and the fifth comes half a minute after the first."""

SIGNUPS_PER_HOUR = 10
TOO_MANY = 5


class Machines(Stage):
    """A stage with a PostgreSQL, and a folder of its own for each API process."""

    def __init__(self, bake: Path, folder: Path, redelivery: int) -> None:
        """Make the folders, with the bake's code and none of its data."""
        self.postgresql = PostgreSQL(folder)
        self.postgresql_kills = 0
        homes = [folder / f"machine-{number}" for number in range(1, APIS + 1)]
        for home in homes:
            home.mkdir()
            for name in ("app", "migrations", "pyproject.toml"):
                (home / name).symlink_to(bake / name)
        settings = {"RECIPIENT_SIGNUPS_PER_HOUR": str(SIGNUPS_PER_HOUR)}
        super().__init__(
            bake,
            folder,
            redelivery=redelivery,
            settings=self.postgresql.environment | settings,
            homes=homes,
        )

    def open(self, workers: int = 2) -> None:
        """Start PostgreSQL, migrate it, and start the others."""
        self.postgresql.start()
        self.run(f".venv/{BIN}/alembic", "upgrade", "heads")
        super().open(workers)

    def kill_postgresql(self) -> None:
        """Kill PostgreSQL, and start it again after a second."""
        self.postgresql.kill()
        self.postgresql_kills += 1
        time.sleep(1)
        self.postgresql.start()

    def close(self) -> None:
        """Stop everything."""
        try:
            super().close()
        finally:
            self.postgresql.close()


def rampage(stage: Machines, seconds: float) -> None:
    """Kill an API process or a worker every 2 seconds, PostgreSQL once, and the broker once."""
    start = time.monotonic()
    # An API process, a worker, the next API process, and so on.
    pairs = zip(itertools.cycle(stage.apis), itertools.cycle(stage.workers), strict=False)
    victims = itertools.chain.from_iterable(pairs)
    while (elapsed := time.monotonic() - start) < seconds or not stage.broker_kills:
        if not stage.postgresql_kills and elapsed > seconds / 3:
            stage.kill_postgresql()
        if not stage.broker_kills and elapsed > seconds * 2 / 3:
            stage.kill_broker()
        time.sleep(KILL_EVERY)
        next(victims).kill()


def disagreements(stage: Machines, keys: Iterable[str]) -> dict[str, Any]:
    """Return what the mail log says of the messages of which PostStack says something else."""
    ids = {message["body"]["idempotency_key"]: message["id"] for message in stage.messages()}
    wrong = {}
    with httpx.Client(headers=AUTHORIZED, timeout=10) as client:
        for key, url in zip(sorted(keys), itertools.cycle(stage.api_urls), strict=False):
            answer = client.get(f"{url}/emails/{key}")
            row = answer.json()
            if (row.get("status"), row.get("email_id")) != ("accepted", ids.get(key)):
                wrong[key] = row
    return wrong


def settle(stage: Machines, keys: set[str]) -> tuple[dict[str, Any], float]:
    """Wait until the mail log agrees; return what is left, and how many seconds it took."""
    start = time.monotonic()
    wrong = disagreements(stage, keys)
    while wrong and time.monotonic() < start + LOG_TIMEOUT:
        time.sleep(1)
        wrong = disagreements(stage, wrong)
    return wrong, time.monotonic() - start


def bounce(stage: Machines) -> list[int]:
    """Tell one API process of a bounce; return what all answer to a receipt for that address."""
    address = "bounced@example.com"
    event = {
        "id": "evt_chaos",
        "type": "email.bounced",
        "timestamp": "2026-02-03T04:05:06Z",
        "data": {"email_id": "em_chaos", "recipient": address},
    }
    body = json.dumps(event).encode()
    digest = hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
    signed = {"X-PostStack-Signature": f"sha256={digest}"}
    teller, *others = stage.api_urls
    url = f"{teller}/webhooks/poststack"
    httpx.post(url, content=body, headers=signed).raise_for_status()
    order = order_of(0, order_id="bounced", recipient=address)
    return [
        httpx.post(f"{url}/receipts", json=order, headers=AUTHORIZED).status_code
        for url in (*others, teller)
    ]


async def sign_up(stage: Machines) -> Counter[int]:
    """Sign up too often for one mailbox, everywhere at once; count the answers."""

    async def once(client: httpx.AsyncClient, url: str) -> int:
        body = {"email": "ada@example.com", "name": "Ada"}
        while True:
            status = (await client.post(f"{url}/signup", json=body)).status_code
            if status != 503:
                return status
            await asyncio.sleep(0.5)  # PostStack's errors: the service asks for a repeat

    urls = itertools.islice(itertools.cycle(stage.api_urls), SIGNUPS_PER_HOUR + TOO_MANY)
    async with httpx.AsyncClient(timeout=60) as client:
        return Counter(await asyncio.gather(*(once(client, url) for url in urls)))


def kills(processes: Iterable[Supervised]) -> int:
    """Return how many were killed."""
    return sum(process.kills for process in processes)


def report(stage: Machines, callers: Callers, drained: float) -> bool:
    """Ask for everything, and print the table; return whether all is well and was put to test."""
    mails, failed, repeats = stage.mails(), stage.failed(), stage.repeats()
    lost = len(callers.accepted - set(mails)) - failed
    twice = sum(count > 1 for count in mails.values())
    wrong, settled = settle(stage, callers.accepted)
    bounced = bounce(stage)
    signups = asyncio.run(sign_up(stage))
    api_kills, worker_kills = kills(stage.apis), kills(stage.workers)
    print_table(
        {
            "backend": stage.backend,
            "accepted by the service": len(callers.accepted),
            "distinct at PostStack": len(mails),
            "lost": lost,
            "accepted twice": twice,
            "mail log agrees for": len(callers.accepted) - len(wrong),
            "seconds until it did": f"{settled:.1f}",
            "receipts after a bounce elsewhere": " ".join(map(str, bounced)),
            "signups for one mailbox": " ".join(
                f"{n} x {code}" for code, n in sorted(signups.items())
            ),
            "repeats that the key absorbed": repeats,
            "in the failed list": failed,
            "API processes killed": api_kills,
            "workers killed": worker_kills,
            "PostgreSQL killed": stage.postgresql_kills,
            "brokers killed": stage.broker_kills,
            "ended by themselves": stage.ended_by_themselves(),
            "repeats by callers": callers.repeats,
            "seconds until the last mail": f"{drained:.1f}",
        }
    )
    for key, row in wrong.items():
        print(f"{key} in the mail log: {row}")
    return (
        all((api_kills, worker_kills, stage.postgresql_kills, stage.broker_kills))
        and len(callers.accepted) == callers.orders == len(mails)
        and not (lost or twice or failed or wrong)
        and set(bounced) == {422}
        and signups == {201: SIGNUPS_PER_HOUR, 429: TOO_MANY}
    )


def main() -> None:
    """Read the command line, and run."""
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options = read_options(parser, messages=40, seconds=6)

    def stage_in(folder: Path) -> Machines:
        return Machines(options.bake.resolve(), folder, options.redelivery)

    def play(stage: Machines) -> Callers:
        stage.open()
        return under_fire(stage, rampage, options.messages, options.seconds)

    perform(stage_in, play, report, options.redelivery)


if __name__ == "__main__":
    main()
