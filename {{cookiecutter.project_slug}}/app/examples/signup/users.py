"""Who signed up."""

import random
from dataclasses import dataclass, field
from uuid import UUID

from app.addresses import normalize_address
from app.database import Database

ADD = """
INSERT INTO users (id, normalized, email, name) VALUES ($1, $2, $3, $4)
ON CONFLICT (normalized) DO UPDATE SET email = users.email
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
    """The users of one database; safe to share between requests, processes and machines."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, email: str, name: str) -> User:
        """Store a user, or return the one who signed up with this address before."""
        # Not `uuid4`, which asks the kernel: a thread of the database takes its turn meanwhile.
        new = UUID(int=random.getrandbits(128), version=4)
        values = (str(new), normalize_address(email), email, name)
        [row] = await self._database.fetch(ADD, *values)
        return User(*row)
