"""Delete what is old: `python -m app.commands.purge`, nightly, say.

Suppressions stay. Safe to run while the service runs, and more than once.
"""

import asyncio
from datetime import datetime, timedelta

from app.database import Database, DatabaseError, open_database
from app.mail import events, log
from app.mail.message import utc_now
from app.migrations import prepare_database
# % if cookiecutter.queue_backend != "none"
from app.queue import attachments
# % endif
from app.settings import Settings, load_settings


async def purge(settings: Settings) -> str:
    """Delete mails that have not changed for `RETENTION_DAYS`, and their events."""
    before = utc_now() - timedelta(days=settings.retention_days)
    async with open_database(settings) as database:
        emails = await delete(database, log.PURGE, before)
        gone = await delete(database, events.PURGE, before)
        # % if cookiecutter.queue_backend != "none"
        await delete(database, attachments.PURGE, before)
        # % endif
    return f"Deleted {emails} emails and {gone} events from before {before:%Y-%m-%d}."


async def delete(database: Database, statement: str, before: datetime) -> int:
    """Repeat a statement until nothing is left, so that no lock is held for long; count rows."""
    deleted = 0
    while rows := await database.fetch(statement, before):
        deleted += len(rows)
    return deleted


def main() -> None:
    """Read the environment, and purge."""
    settings = load_settings()
    prepare_database(settings)
    try:
        print(asyncio.run(purge(settings)))  # noqa: T201  for whoever runs it
    except DatabaseError as error:
        raise SystemExit(f"Not purged: {error}") from None


if __name__ == "__main__":
    main()
