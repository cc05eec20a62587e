"""What happened to a mail after PostStack had accepted it, as PostStack's webhooks report it."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.addresses import normalize_address
from app.database import Database
from app.mail.fields import Time

EventType = Literal["soft_bounced", "delivered", "bounced", "unsubscribed", "complained"]
"""The events that are stored, in PostStack's words; of several the last one here says what is the
status of the mail, in whichever order they arrive."""

SUPPRESSING: dict[EventType, str] = {
    "bounced": "hard_bounce",
    "complained": "complaint",
    "unsubscribed": "unsubscribe",
}
"""The events after which the recipient is suppressed, and PostStack's words for the reason."""


ADD = """
INSERT INTO events (id, type, email_id, recipient, time) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO NOTHING RETURNING id
"""

FIND = "SELECT id, type, email_id, recipient, time FROM events WHERE email_id = $1"

PURGE = """
DELETE FROM events WHERE id IN (SELECT id FROM events WHERE time < $1 LIMIT 1000) RETURNING id
"""


class Event(BaseModel):
    """Something that happened to one message on its way to one recipient."""

    model_config = ConfigDict(frozen=True)

    id: str
    """The same whenever PostStack repeats itself."""
    type: EventType
    email_id: str
    recipient: Annotated[str, AfterValidator(normalize_address)] = Field(repr=False)
    time: Time


class Events:
    """The events of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, event: Event) -> bool:
        """Store an event once; return whether it was new."""
        values = (event.id, event.type, event.email_id, event.recipient, event.time)
        # PostStack does not repeat what was answered, so it outlives a power cut.
        return bool(await self._database.fetch(ADD, *values, durable=True))

    async def find(self, email_id: str) -> list[Event]:
        """Return what happened to a message, in the order in which it happened."""
        rows = await self._database.fetch(FIND, email_id)
        events = [Event.model_validate(dict(row)) for row in rows]
        return sorted(events, key=lambda event: event.time)
