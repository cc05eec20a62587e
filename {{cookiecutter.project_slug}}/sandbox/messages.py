"""An accepted message, and how to ask for some."""

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self


@dataclass(frozen=True)
class Message:
    """One accepted message. `body` is the JSON that was posted, unchanged."""

    number: int
    id: str
    body: dict[str, Any]
    status: str
    repeats: int
    created_at: str
    scheduled_at: str | None
    events: list[dict[str, str]]

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Self:
        """A row of the table `messages`."""
        return cls(
            number=row["number"],
            id=row["id"],
            body=json.loads(row["body"]),
            status=row["status"],
            repeats=row["repeats"],
            created_at=row["created_at"],
            scheduled_at=row["scheduled_at"],
            events=json.loads(row["events"]),
        )

    @property
    def sent_at(self) -> str | None:
        """When it left for the receiving server, if it did."""
        return next((e["timestamp"] for e in self.events if e["type"] == "sent"), None)


@dataclass(frozen=True)
class Filters:
    """What a message must match: `status` and `tag` whole, the others any part, in any case."""

    status: str | None = None
    sender: str = ""
    to: str = ""
    subject: str = ""
    tag: str = ""
    q: str = ""


def timestamp(time: datetime) -> str:
    """A UTC time as PostStack writes it. Of fixed length, so texts sort as the times do."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> str:
    """The current time as PostStack writes it."""
    return timestamp(datetime.now(UTC))
