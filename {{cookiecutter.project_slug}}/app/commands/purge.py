"""Delete what is old: `python -m app.commands.purge`, nightly, say.

Suppressions stay. Safe to run while the service runs, and more than once.
"""

import asyncio
from datetime import timedelta

from app.database import DatabaseError, open_database
from app.mail.events import Events
from app.mail.log import MailLog
from app.mail.message import utc_now
from app.migrations import prepare_database
from app.settings import Settings, load_settings


async def purge(settings: Settings) -> str:
    """Delete mails that have not changed for `RETENTION_DAYS`, and their events."""
    before = utc_now() - timedelta(days=settings.retention_days)
    async with open_database(settings) as database:
        emails = await MailLog(database).purge(before)
        events = await Events(database).purge(before)
    return f"Deleted {emails} emails and {events} events from before {before:%Y-%m-%d}."


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
