"""Does the database have the tables that this version of the service needs?

`migrations/` has a file for each change of them, which Alembic runs: at start, with SQLite and in
development; otherwise by `alembic upgrade heads`.
"""

import asyncio
import logging
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from app.database import DatabaseError, open_database
from app.settings import PROJECT, Settings

logger = logging.getLogger(__name__)


def prepare_database(settings: Settings) -> None:
    """Migrate the database, or exit with one line if that is the operator's to do.

    A PostgreSQL that does not answer may do so later; until then the service is not ready.
    """
    # In a thread, since a server imports the application within its event loop.
    with ThreadPoolExecutor(1) as thread:
        try:
            is_behind = thread.submit(asyncio.run, behind(settings)).result()
        except DatabaseError as error:
            if settings.sqlite_path:
                raise SystemExit(f"The service cannot start: {error}.") from None
            logger.warning("%s", error)
            return
    if not is_behind:
        return
    if not (settings.sqlite_path or settings.fastapi_env == "development"):
        raise SystemExit(
            "The service cannot start: its database lacks migrations. "
            "Run `uv run poe migrate`, or `alembic upgrade heads` in a container."
        )
    # In a process of its own: Alembic's modules are 25 MB.
    chosen = {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "FASTAPI_ENV": settings.fastapi_env,
    }
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "heads"],
        cwd=PROJECT,
        env=os.environ | chosen,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise SystemExit(f"The service cannot start: `alembic upgrade heads` failed: {reason}")


async def behind(settings: Settings) -> bool:
    """Tell whether a migration of `migrations/` is missing. Raises `DatabaseError`."""
    async with open_database(settings) as database:
        try:
            rows = await database.fetch("SELECT version_num FROM alembic_version")
        except DatabaseError:
            await database.fetch("SELECT 1")  # raises, if it is not the table that is missing
            return True
    applied, (known, heads) = {name for (name,) in rows}, revisions()
    # What a newer version has migrated is ahead of this one, and not behind.
    return not heads <= applied and applied <= known


def revisions() -> tuple[set[str], set[str]]:
    """Read the names of all migrations, and of those that no other follows.

    Without Alembic, which takes half a second to import.
    """
    known, followed = set(), set()
    for file in (PROJECT / "migrations/versions").glob("*.py"):
        text = file.read_text("utf-8")
        known.update(re.findall(r'^revision = "(.+)"$', text, re.MULTILINE))
        followed.update(re.findall(r'^down_revision = "(.+)"$', text, re.MULTILINE))
    return known, known - followed
