"""The failed list: the messages that were given up, and wait in Redis for an operator.

`python -m app.queue.failed` lists them; `python -m app.queue.failed requeue [KEY]` queues all of
them, or one, again; `python -m app.queue.failed drop KEY` deletes one.
"""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from arq.jobs import JobStatus

from app.mail.errors import ConflictError
from app.queue.jobs import UNAVAILABLE, Queue, open_queue
from app.settings import Settings, load_settings
from app.text import printable

UNREADABLE: dict[str, Any] = {"message": None, "reason": "unreadable", "attempts": "unknown"}
"""What stands for an entry that the worker has not written."""


async def entries(queue: Queue) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Yield what is on the list, by idempotency key."""
    async for key, raw in queue.redis.hscan_iter(queue.failed_key):
        try:
            entry = UNREADABLE | json.loads(raw)
        except (TypeError, ValueError, RecursionError):
            entry = UNREADABLE
        yield key.decode(errors="backslashreplace"), entry


async def show(queue: Queue) -> None:
    """Print which messages were given up, and why, but not what was in them."""
    count = 0
    async for key, entry in entries(queue):
        count += 1
        message, reason = entry["message"], entry["reason"]
        created_at = message.get("created_at") if isinstance(message, dict) else None
        line = f"{key}  created {created_at}  attempts {entry['attempts']}  {reason}"
        if await queue.status(key) not in (JobStatus.complete, JobStatus.not_found):
            line += "  (queued again)"
        print(printable(line))  # noqa: T201  the command's answer
    print(f"{count} failed")  # noqa: T201


async def requeue(queue: Queue, only: str | None) -> None:
    """Queue messages again; each leaves the list when PostStack has accepted it."""
    count = 0
    async for key, entry in entries(queue):
        if only in (None, key) and entry["message"] is not None:
            with suppress(ConflictError):  # a newer message was queued under this key
                count += await queue.put(key, entry["message"])
    print(f"{count} queued again")  # noqa: T201


async def drop(queue: Queue, key: str) -> None:
    """Delete a message; its key may then be used again."""
    await queue.forget_failure(key)
    print(f"{await queue.redis.hdel(queue.failed_key, key)} dropped")  # noqa: T201


async def run(settings: Settings, command: str | None = None, key: str | None = None) -> None:
    """Run one of the commands."""
    async with open_queue(settings) as queue:
        match command, key:
            case "requeue", _:
                await requeue(queue, key)
            case "drop", str(key):
                await drop(queue, key)
            case _:
                await show(queue)


def main() -> None:
    """Read the command line and the environment, and run a command."""
    parser = argparse.ArgumentParser(prog="python -m app.queue.failed")
    commands = parser.add_subparsers(dest="command")
    requeuing = commands.add_parser("requeue", help="queue them again")
    requeuing.add_argument("key", nargs="?", help="only the message with this idempotency key")
    dropping = commands.add_parser("drop", help="delete one")
    dropping.add_argument("key", help="its idempotency key")
    arguments = parser.parse_args()
    settings = load_settings()
    try:
        asyncio.run(run(settings, **vars(arguments)))
    except UNAVAILABLE as error:
        raise SystemExit(f"Redis not reached: {error}") from None


if __name__ == "__main__":
    main()
