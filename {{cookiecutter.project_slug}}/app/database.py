"""The SQLite file of the service's data."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite


@asynccontextmanager
async def open_database(path: Path, schema: str) -> AsyncIterator[aiosqlite.Connection]:
    """Connect to the file at `path`; make it, its folder and what `schema` says where missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    async with aiosqlite.connect(path, timeout=5, isolation_level=None) as database:
        database.row_factory = aiosqlite.Row
        # Write-ahead logging lets several processes of the service share the file.
        await database.execute("PRAGMA journal_mode = WAL")
        await database.execute("PRAGMA synchronous = NORMAL")
        await database.executescript(schema)
        yield database
