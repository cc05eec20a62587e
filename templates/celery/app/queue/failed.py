"""The failed queue: the messages that were given up, and wait in RabbitMQ for an operator.

`python -m app.queue.failed` lists them; with `requeue [KEY]` it queues all of them, or one, again;
with `drop KEY` it deletes one.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

from celery import Celery
from kombu.message import Message as Entry

from app.mail.message import utc_now
from app.queue.attachments import QueuedMessage
from app.queue.connections import BROKER_ERRORS, BROKER_TIMEOUT
from app.queue.publisher import create_celery, enqueue, failed_queue
from app.settings import load_settings
from app.text import printable


@contextmanager
def open_entries(celery: Celery) -> Iterator[Iterator[Entry]]:
    """Hold the queue's entries; those not acknowledged go back to it at the end."""
    with celery.connection_for_write(connect_timeout=BROKER_TIMEOUT) as connection:
        connection.ensure_connection(max_retries=0)
        channel = connection.default_channel
        queue = failed_queue(celery.conf.task_default_queue)(channel)
        queue.declare()
        kept = 0

        def waiting() -> int:
            return int(channel.queue_declare(queue.name, passive=True).message_count)

        def entries() -> Iterator[Entry]:
            nonlocal kept
            # As many as there are now: what fails while they are put back waits for the next time.
            for _ in range(waiting()):
                if entry := queue.get():
                    yield entry
                    kept += not entry.acknowledged

        yield entries()
        channel.basic_recover(requeue=True)
        # They count again once that is on the disk; a command that came sooner would see fewer.
        end = monotonic() + BROKER_TIMEOUT  # or for ever, if somebody has dropped one meanwhile
        while waiting() < kept and monotonic() < end:
            sleep(0.01)


def message_of(entry: Entry) -> QueuedMessage | None:
    """Read the message in an entry, if there is one."""
    try:
        [data], *_ = json.loads(entry.body)
        return QueuedMessage.model_validate(data)
    except (TypeError, ValueError):
        return None


def content_of(message: QueuedMessage) -> str:
    """Return what is the same in all repeats of a message: a caller may have posted it again."""
    return message.model_dump_json(exclude={"created_at", "request_id"})


def describe(entry: Entry) -> str:
    """Write an entry as a line, without its content and its recipient."""
    message = message_of(entry)
    try:
        deaths = entry.headers.get("x-death") or [{"reason": "no reason"}]
        reason = entry.headers.get("reason", f"{deaths[0]['reason']}; see the worker's log")
        attempts = entry.headers.get("attempts", entry.headers.get("retries", 0) + 1)
    except (AttributeError, LookupError, TypeError):  # headers of somebody else's
        reason, attempts = "no reason", "unknown"
    when = f"created {message.created_at:%F %T%z}" if message else "unreadable"
    return printable(f"{entry.headers.get('id')}: {when}, attempts: {attempts}: {reason}")


def list_failed(celery: Celery) -> str:
    """List what was given up, a line for each message however often it was posted."""
    lines: dict[str | int, str] = {}
    with open_entries(celery) as entries:
        for number, entry in enumerate(entries):
            message = message_of(entry)
            lines.setdefault(content_of(message) if message else number, describe(entry))
    return "\n".join([*lines.values(), f"{len(lines)} failed"])


def requeue(celery: Celery, key: str | None) -> str:
    """Queue again what was given up, or the message with this `key`; its 48 hours begin anew."""
    done: set[str] = set()
    with open_entries(celery) as entries:
        for entry in entries:
            message = message_of(entry)
            if message and key in (None, message.idempotency_key):
                if content_of(message) not in done:
                    enqueue(celery, message.model_copy(update={"created_at": utc_now()}))
                entry.ack()  # only now: a crash in between leaves it in both queues
                done.add(content_of(message))
    return f"{len(done)} requeued"


def drop(celery: Celery, key: str) -> str:
    """Delete what was given up under this `key`, be it a message or not."""
    dropped: set[str | int] = set()
    with open_entries(celery) as entries:
        for number, entry in enumerate(entries):
            if str(entry.headers.get("id")) == key:
                message = message_of(entry)
                dropped.add(content_of(message) if message else number)
                entry.ack()
    return f"{len(dropped)} dropped"


def main() -> None:
    """Read the command line and the environment, and run a command."""
    parser = argparse.ArgumentParser(prog="python -m app.queue.failed")
    commands = parser.add_subparsers(dest="command")
    requeuing = commands.add_parser("requeue", help="queue them again")
    requeuing.add_argument("key", nargs="?", help="only the message with this idempotency key")
    dropping = commands.add_parser("drop", help="delete one")
    dropping.add_argument("key", help="its idempotency key")
    arguments = parser.parse_args()
    with create_celery(load_settings()) as celery:
        try:
            match arguments.command:
                case "requeue":
                    done = requeue(celery, arguments.key)
                case "drop":
                    done = drop(celery, arguments.key)
                case _:
                    done = list_failed(celery)
        except BROKER_ERRORS as error:
            raise SystemExit(f"RabbitMQ not reached: {error!r}") from None
    print(done)  # noqa: T201  the command's answer


if __name__ == "__main__":
    main()
