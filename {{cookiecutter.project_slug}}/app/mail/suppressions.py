"""Who must get no more mail: those whose mail bounced, who complained, or who unsubscribed."""

from datetime import datetime
from typing import NamedTuple

from app.addresses import normalize_address
from app.database import Database
from app.mail.errors import SuppressedError
from app.mail.message import utc_now

FIND = "SELECT reason, email_id FROM suppressions WHERE address = $1 AND removed_at IS NULL"

ADD = """
INSERT INTO suppressions (address, reason, email_id, since) VALUES ($1, $2, $3, $4)
ON CONFLICT (address) DO UPDATE
SET reason = excluded.reason, email_id = excluded.email_id, since = excluded.since,
    removed_at = NULL
WHERE suppressions.removed_at < excluded.since
RETURNING address
"""
"""What happened before an address was taken off, a webhook that comes again say, adds it not."""

REMOVE = """
UPDATE suppressions SET removed_at = $2 WHERE address = $1 AND removed_at IS NULL
RETURNING address
"""

REMEMBER = """
INSERT INTO suppressions (address, reason, since, removed_at) VALUES ($1, 'manual', $2, $2)
ON CONFLICT (address) DO UPDATE SET removed_at = excluded.removed_at
"""
"""A webhook about what happened before may still be on its way."""

LIST = """
SELECT address, reason, email_id, since FROM suppressions WHERE removed_at IS NULL ORDER BY address
"""


class Suppression(NamedTuple):
    """An address that gets no mail: PostStack's word for the reason, and since when."""

    address: str
    reason: str
    email_id: str | None
    """The mail after which it was suppressed, if it was one of ours."""
    since: datetime | str
    """A text from SQLite."""


class Suppressions:
    """The suppressed addresses of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, recipient: str) -> SuppressedError | None:
        """Return why this address must get no more mail, or nothing."""
        rows = await self._database.fetch(FIND, normalize_address(recipient))
        return next((SuppressedError(reason, email_id or "") for reason, email_id in rows), None)

    async def add(
        self, address: str, reason: str, since: datetime, email_id: str | None = None
    ) -> bool:
        """Suppress an address; return whether that is new."""
        values = (normalize_address(address), reason, email_id, since)
        return bool(await self._database.fetch(ADD, *values, durable=True))

    async def remove(self, address: str) -> bool:
        """Let an address get mail again; return whether it was suppressed."""
        values = (normalize_address(address), utc_now())
        if await self._database.fetch(REMOVE, *values, durable=True):
            return True
        await self._database.fetch(REMEMBER, *values, durable=True)
        return False

    async def list(self) -> list[Suppression]:
        """Return all suppressions, by address."""
        return [Suppression(*row) for row in await self._database.fetch(LIST)]
