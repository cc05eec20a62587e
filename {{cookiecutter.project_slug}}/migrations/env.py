"""How Alembic reaches the database: `uv run poe migrate` runs this."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
from alembic import context
from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from app.settings import Settings, load_settings

LOCK = 20260203
"""Any number: PostgreSQL's name of the lock under which one process migrates, and others wait."""

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another process that migrates an SQLite file."""


def migrate(connection: Connection) -> None:
    """Run what is missing, in one transaction, while no other process does."""
    # Not Alembic's transaction, which for SQLite is one for each migration: between two of them
    # another process made the second one's tables.
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        context.configure(connection=connection)
        context.run_migrations()


def sqlite_engine(path: Path) -> AsyncEngine:
    """Open the file, and make it and its folder if they are missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    use_write_ahead_log(path)
    options = {"timeout": LOCK_TIMEOUT}
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", connect_args=options)

    # Python's driver would begin a transaction with the first change of a row, and so without the
    # lock and not for a new table (SQLAlchemy's documentation of SQLite, "Transactions").
    @event.listens_for(engine.sync_engine, "connect")
    def connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def use_write_ahead_log(path: Path) -> None:
    """Let several processes share the file, which remembers it."""
    end = time.monotonic() + LOCK_TIMEOUT
    with closing(sqlite3.connect(path)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:  # at once, and not after SQLite's timeout
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
            else:
                return


def postgresql_engine(url: str) -> AsyncEngine:
    """Connect as the service does; SQLAlchemy reads some parts of a URL in other ways."""

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(url)

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)


async def run(settings: Settings) -> None:
    """Migrate the database of the settings."""
    path, url = settings.sqlite_path, settings.database_url.get_secret_value()
    engine = sqlite_engine(path) if path else postgresql_engine(url)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


asyncio.run(run(context.config.attributes.get("settings") or load_settings()))
