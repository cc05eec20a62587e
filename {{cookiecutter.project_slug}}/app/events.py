"""What became of the mail after PostStack had accepted it, and who must not get any more."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path
from typing import Literal

import aiosqlite
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app import logs, metrics
from app.database import open_database
from app.delivery import SuppressedError
from app.messages import Message, fold

EventType = Literal["delivered", "bounced", "soft_bounced", "complained", "unsubscribed"]
"""The events that are stored, in PostStack's words."""

REASONS: dict[EventType, str] = {
    "bounced": "hard_bounce",
    "complained": "complaint",
    "unsubscribed": "unsubscribe",
}
"""The events that suppress the recipient, and PostStack's words for the reason."""

SUPPRESSES = f"type IN {tuple(REASONS)}"

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS events (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    email_id TEXT NOT NULL,
    recipient TEXT NOT NULL,
    time TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_of_email ON events (email_id);
CREATE INDEX IF NOT EXISTS suppressions ON events (recipient) WHERE {SUPPRESSES};
"""

logger = logging.getLogger(__name__)


class Event(BaseModel):
    """Something that happened to one message on its way to one recipient."""

    model_config = ConfigDict(frozen=True)

    id: str
    """The same whenever PostStack repeats itself."""
    type: EventType
    email_id: str
    recipient: str = Field(repr=False)
    time: AwareDatetime


class Events:
    """The events of one database; safe to share between requests and processes."""

    def __init__(self, database: aiosqlite.Connection) -> None:
        self._database = database

    async def add(self, event: Event) -> bool:
        """Store an event once; return whether it was new."""
        time = event.time.astimezone(UTC).isoformat()  # so that texts are in the order of times
        async with self._database.execute(
            "INSERT INTO events (id, type, email_id, recipient, time) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO NOTHING",
            (event.id, event.type, event.email_id, fold(event.recipient), time),
        ) as cursor:
            return cursor.rowcount == 1

    async def find(self, email_id: str) -> list[Event]:
        """Return what happened to a message, in the order in which it happened."""
        rows = await self._database.execute_fetchall(
            "SELECT id, type, email_id, recipient, time FROM events WHERE email_id = ?",
            (email_id,),
        )
        events = [Event.model_validate(dict(row)) for row in rows]
        return sorted(events, key=lambda event: event.time)

    async def suppression(self, recipient: str) -> tuple[str, str] | None:
        """Return why this address gets no more mail and which one was the last, or nothing."""
        rows = await self._database.execute_fetchall(
            f"SELECT type, email_id FROM events WHERE recipient = ? AND {SUPPRESSES}"  # noqa: S608  a constant
            " ORDER BY time DESC LIMIT 1",
            (fold(recipient),),
        )
        return next(((REASONS[row["type"]], row["email_id"]) for row in rows), None)


@asynccontextmanager
async def open_events(path: Path) -> AsyncIterator[Events]:
    """Open the events in the database at `path`."""
    async with open_database(path, SCHEMA) as database:
        # On disk before PostStack is answered, as it does not repeat itself after a power cut.
        await database.execute("PRAGMA synchronous = FULL")
        database.row_factory = aiosqlite.Row
        yield Events(database)


async def refuse_suppressed(message: Message, events: Events) -> None:
    """Raise `SuppressedError`, before PostStack is called, if the recipient must get no mail.

    Every road begins with this; a worker may run where there is no database.
    """
    if found := await events.suppression(message.recipient):
        reason, email_id = found
        metrics.SKIPPED.inc()
        with logs.bound(**message.log_fields):
            logger.warning("not sent, recipient suppressed: %s", reason)
        raise SuppressedError(reason, email_id)
