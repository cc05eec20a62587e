"""Who signed up, in the service's SQLite file."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import aiosqlite

from app.database import open_database
from app.mail.message import normalize_address

SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    id TEXT PRIMARY KEY,
    normalized TEXT NOT NULL UNIQUE,
    email TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
)
"""

ADD = """
INSERT INTO users (id, normalized, email, name) VALUES (?, ?, ?, ?)
ON CONFLICT (normalized) DO UPDATE SET email = email
RETURNING id, email, name
"""
"""The update changes nothing: it makes RETURNING answer for a row that was there."""


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
        # Not `uuid4`, which asks the kernel: a thread of the database takes its turn meanwhile.
        new = UUID(int=random.getrandbits(128), version=4)
        [row] = await self._database.execute_fetchall(
            ADD, (str(new), normalize_address(email), email, name)
        )
        return User(*row)


@asynccontextmanager
async def open_users(path: Path) -> AsyncIterator[Users]:
    """Open the users in the database at `path`."""
    async with open_database(path, SCHEMA) as database:
        yield Users(database)
