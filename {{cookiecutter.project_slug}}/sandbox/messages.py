"""An accepted message, and how to ask for some."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field, Json

Status = Literal["queued", "sending", "deferred", "delivered", "bounced", "complained", "failed"]


class Message(BaseModel):
    """A row of the table `messages`. `body` is the JSON that was posted, unchanged."""

    number: int
    id: str
    body: Json[dict[str, Any]]
    status: Status
    repeats: int
    created_at: str
    scheduled_at: str | None
    events: Json[list[dict[str, str]]]


class Filters(BaseModel):
    """What a message must match: `status` and `tag` whole, the others any part, in any case."""

    status: Status | None = None
    sender: str = Field("", alias="from")
    to: str = ""
    subject: str = ""
    tag: str = ""
    q: str = ""
    """A part of the sender, a recipient, the subject, a tag or the text."""


def timestamp(time: datetime) -> str:
    """A UTC time as PostStack writes it. Of fixed length, so texts sort as the times do."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> str:
    """The current time as PostStack writes it."""
    return timestamp(datetime.now(UTC))
