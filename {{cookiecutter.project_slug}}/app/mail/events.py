"""What happened to the mail after PostStack had accepted it, as PostStack's webhooks report it."""

from datetime import UTC
from typing import Literal

import aiosqlite
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.mail.message import normalize_address

EventType = Literal["delivered", "bounced", "soft_bounced", "complained", "unsubscribed"]
"""The events that are stored, in PostStack's words."""

SUPPRESSING: dict[EventType, str] = {
    "bounced": "hard_bounce",
    "complained": "complaint",
    "unsubscribed": "unsubscribe",
}
"""The events after which the recipient is suppressed, and PostStack's words for the reason."""

SUPPRESSES = f"type IN {tuple(SUPPRESSING)}"

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
            (event.id, event.type, event.email_id, normalize_address(event.recipient), time),
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

    async def check(self) -> None:
        """Raise unless events can be read."""
        await self._database.execute_fetchall("SELECT 1 FROM events LIMIT 1")
