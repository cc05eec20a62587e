"""Who signed up: the example's own data, in a SQLite file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import aiosqlite

from app.database import open_database
from app.messages import fold

SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    id TEXT PRIMARY KEY,
    folded TEXT NOT NULL UNIQUE,
    email TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
)
"""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who signed up."""

    id: str
    """Random, so that no two databases ever give one id, and so one idempotency key, twice."""
    email: str = field(repr=False)
    name: str = field(repr=False)


class Users:
    """The users of one database; safe to share between requests and processes."""

    def __init__(self, database: aiosqlite.Connection) -> None:
        self._database = database

    async def add(self, email: str, name: str) -> User:
        """Store a user, or return the one who signed up with this address before."""
        # The update changes nothing: it makes RETURNING answer for a row that was there.
        [row] = await self._database.execute_fetchall(
            "INSERT INTO users (id, folded, email, name) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (folded) DO UPDATE SET email = email RETURNING id, email, name",
            (str(uuid4()), fold(email), email, name),
        )
        return User(*row)

    async def ready(self) -> None:
        """Raise unless users can be read."""
        await self._database.execute_fetchall("SELECT 1 FROM users LIMIT 1")


@asynccontextmanager
async def open_users(path: Path) -> AsyncIterator[Users]:
    """Open the users in the database at `path`."""
    async with open_database(path, SCHEMA) as database:
        yield Users(database)
