"""The failed queue: the messages that were given up, and wait in RabbitMQ for an operator.

`python -m app.failed` lists them; `python -m app.failed requeue [KEY]` queues all of them, or one,
again; `python -m app.failed drop KEY` deletes one.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

from celery import Celery
from kombu.message import Message as Job

from app.connections import PATIENCE, UNAVAILABLE
from app.dispatch import DispatchSettings, declared, enqueue, publisher
from app.messages import Message, now
from app.settings import load


@contextmanager
def failed_jobs(celery: Celery) -> Iterator[Iterator[Job]]:
    """Hold the queue's jobs; those not acknowledged go back to it at the end."""
    _, failed = declared(celery.conf.task_default_queue)
    with celery.connection_for_write(connect_timeout=PATIENCE) as connection:
        connection.ensure_connection(max_retries=0)
        channel = connection.default_channel
        queue = failed(channel)
        queue.declare()
        kept = 0

        def waiting() -> int:
            return int(channel.queue_declare(failed.name, passive=True).message_count)

        def jobs() -> Iterator[Job]:
            nonlocal kept
            # As many as there are now: what fails while they are put back waits for the next time.
            for _ in range(waiting()):
                if job := queue.get():
                    yield job
                    kept += not job.acknowledged

        yield jobs()
        channel.basic_recover(requeue=True)
        # They count again once that is on the disk; a command that came sooner would see fewer.
        end = monotonic() + PATIENCE  # or for ever, if somebody has dropped one meanwhile
        while waiting() < kept and monotonic() < end:
            sleep(0.01)


def message_of(job: Job) -> Message | None:
    """Read the message in a job, if it is one."""
    try:
        [data], *_ = json.loads(job.body)
        return Message.model_validate(data)
    except (TypeError, ValueError):
        return None


def listing(celery: Celery) -> str:
    """List what was given up, one line each, without its content and to whom it would go."""
    lines = []
    with failed_jobs(celery) as jobs:
        for job in jobs:
            message = message_of(job)
            deaths = job.headers.get("x-death") or [{"reason": "no reason"}]
            reason = job.headers.get("reason", f"{deaths[0]['reason']}; see the worker's log")
            attempts = job.headers.get("attempts", job.headers.get("retries", 0) + 1)
            when = f"accepted {message.accepted_at:%F %T%z}" if message else "unreadable"
            lines.append(f"{job.headers.get('id')}: {when}, attempts: {attempts}: {reason}")
    return "\n".join([*lines, f"{len(lines)} failed"])


def requeue(celery: Celery, key: str | None) -> str:
    """Queue again what was given up, or the message with this `key`; its 48 hours begin anew."""
    count = 0
    with failed_jobs(celery) as jobs:
        for job in jobs:
            message = message_of(job)
            if message and key in (None, message.idempotency_key):
                enqueue(celery, message.model_copy(update={"accepted_at": now()}))
                job.ack()  # only now: a crash in between leaves it in both queues
                count += 1
    return f"{count} requeued"


def drop(celery: Celery, key: str) -> str:
    """Delete what was given up under this `key`, be it a message or not."""
    count = 0
    with failed_jobs(celery) as jobs:
        for job in jobs:
            if str(job.headers.get("id")) == key:
                job.ack()
                count += 1
    return f"{count} dropped"


def main() -> None:
    """Read the command line and the environment, and run a command."""
    parser = argparse.ArgumentParser(prog="python -m app.failed")
    commands = parser.add_subparsers(dest="command")
    again = commands.add_parser("requeue", help="queue them again")
    again.add_argument("key", nargs="?", help="only this message")
    away = commands.add_parser("drop", help="delete one")
    away.add_argument("key", help="the message")
    arguments = parser.parse_args()
    with publisher(load(DispatchSettings)) as celery:
        try:
            match arguments.command:
                case "requeue":
                    done = requeue(celery, arguments.key)
                case "drop":
                    done = drop(celery, arguments.key)
                case _:
                    done = listing(celery)
        except UNAVAILABLE as error:
            raise SystemExit(f"RabbitMQ not reached: {error!r}") from None
    print(done)  # noqa: T201  for a person


if __name__ == "__main__":
    main()
