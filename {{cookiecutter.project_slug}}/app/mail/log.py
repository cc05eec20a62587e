"""The mail log: one row for each message, which says what became of it."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.addresses import normalize_address
from app.database import Database, Value
from app.mail.events import Event, Events, EventType
from app.mail.message import Message, utc_now
from app.text import printable

SendStatus = Literal["queued", "accepted", "refused", "failed", "suppressed"]
"""What we know before PostStack's events: it waits in the queue; PostStack took it, or never will;
nobody tries any more; or it was not sent, for the recipient's sake."""

RECORD = """
INSERT INTO emails
    (idempotency_key, email_id, status, recipient, attempts, reason, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (idempotency_key) DO UPDATE
SET email_id = excluded.email_id, status = excluded.status, attempts = excluded.attempts,
    reason = excluded.reason, updated_at = excluded.updated_at
WHERE CASE WHEN emails.email_id IS NULL
    THEN excluded.email_id IS NOT NULL OR emails.attempts < excluded.attempts
        OR emails.updated_at <= excluded.updated_at
    ELSE emails.email_id <> excluded.email_id AND emails.updated_at <= excluded.updated_at END
"""
"""A message that was accepted stays so, until PostStack has forgotten its key and accepts another
under it. The worker can be faster with its row than the API with the one before; and its clock can
be behind the API's, so that an acceptance, or a later attempt, needs no later time."""

FIND = """
SELECT idempotency_key, email_id, status, reason, created_at, updated_at
FROM emails WHERE idempotency_key = $1 OR email_id = $1
"""

PURGE = """
DELETE FROM emails WHERE idempotency_key IN
    (SELECT idempotency_key FROM emails WHERE updated_at < $1 LIMIT 1000)
RETURNING idempotency_key
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message, and when."""

    status: SendStatus
    email_id: str | None = None
    reason: str | None = None
    attempts: int = 1
    at: datetime = field(default_factory=utc_now)


class Entry(BaseModel):
    """What became of a message."""

    model_config = ConfigDict(frozen=True)

    idempotency_key: str | None = None
    email_id: str | None = None
    status: SendStatus | EventType
    reason: str | None = None
    created_at: AwareDatetime
    updated_at: AwareDatetime
    events: list[Event] = Field(default_factory=list)


class MailLog:
    """The mail log of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._events = Events(database)
        self._rows: list[tuple[Value, ...]] = []
        self._batch: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def record(self, message: Message, outcome: Outcome) -> None:
        """Write what became of a message. Raises `DatabaseError`.

        What is recorded while the database is busy is written together: under load that is a
        fraction of the work.
        """
        self._rows.append(
            (
                message.idempotency_key,
                outcome.email_id,
                outcome.status,
                normalize_address(message.recipient),
                outcome.attempts,
                outcome.reason and printable(outcome.reason),
                message.created_at,
                outcome.at,
            )
        )
        self._batch = self._batch or asyncio.create_task(self._write())
        await asyncio.shield(self._batch)

    async def _write(self) -> None:
        async with self._lock:  # what comes until it is free belongs to this batch
            rows, self._rows, self._batch = self._rows, [], None
            # In one order for all processes, which otherwise wait for each other's rows in circles.
            rows.sort(key=itemgetter(0))
            await self._database.execute_many(RECORD, rows)

    async def find(self, key: str) -> Entry | None:
        """Find a message by its idempotency key or by PostStack's id.

        An id without a row, which the worker could not write, has its events.
        """
        rows = await self._database.fetch(FIND, key)
        email_id = rows[0]["email_id"] if rows else key
        events = await self._events.find(email_id) if email_id else []
        if rows:
            return with_events(Entry(**dict(rows[0]), events=events))
        if events:
            times = {"created_at": events[0].time, "updated_at": events[-1].time}
            return with_events(Entry(email_id=email_id, status="accepted", events=events, **times))
        return None


def with_events(entry: Entry) -> Entry:
    """Let the status follow from PostStack's events, if there are any."""
    if not entry.events:
        return entry
    happened = {event.type for event in entry.events}
    status = [kind for kind in get_args(EventType) if kind in happened][-1]
    updated_at = max(entry.updated_at, entry.events[-1].time)
    return entry.model_copy(update={"status": status, "updated_at": updated_at})
