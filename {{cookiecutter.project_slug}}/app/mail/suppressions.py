"""Who must get no more mail: those whose mail bounced, who complained, or who unsubscribed."""

import aiosqlite

from app.mail.errors import SuppressedError
from app.mail.events import SUPPRESSES, SUPPRESSING
from app.mail.message import normalize_address

FIND = (
    f"SELECT type, email_id FROM events WHERE recipient = ? AND {SUPPRESSES}"  # noqa: S608  a constant
    " ORDER BY time DESC LIMIT 1"
)


class Suppressions:
    """The suppressed recipients of one database."""

    def __init__(self, database: aiosqlite.Connection) -> None:
        self._database = database

    async def find(self, recipient: str) -> SuppressedError | None:
        """Return why this address must get no more mail, or nothing."""
        rows = await self._database.execute_fetchall(FIND, (normalize_address(recipient),))
        return next((SuppressedError(SUPPRESSING[kind], email_id) for kind, email_id in rows), None)
