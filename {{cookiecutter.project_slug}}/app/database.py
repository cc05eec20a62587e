"""The database: SQLite in a file, or PostgreSQL for more than one machine.

SQL stands once for both, in the modules that use it, and `$1` is its first value. What only one of
them understands does not occur there.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import aiosqlite

from app.settings import Settings

if TYPE_CHECKING:
    import asyncpg

TIMEOUT = 2.5
"""Seconds in which the database must have answered, or the caller gets an error."""

MAX_CONNECTIONS = 10
"""To PostgreSQL, from each process. PostgreSQL takes 100 by default, from all of them."""

BUGS = ("22", "23", "42")
"""The classes of PostgreSQL's errors that blame the statement (its documentation, appendix A), or
the operator: a table or a permission is missing."""

Value = str | int | bytes | datetime | None


class DatabaseError(Exception):
    """The database cannot do it now: it is away, silent, locked, full, read-only or behind."""


class Database(Protocol):
    """What both have in common; safe to share between requests."""

    async def fetch(self, sql: str, *values: Value, durable: bool = False) -> list[Any]:
        """Run one statement and return its rows.

        `durable` is for what must outlive a power cut. Raises `DatabaseError`.
        """

    async def execute_many(self, sql: str, rows: Iterable[tuple[Value, ...]]) -> None:
        """Run one statement, without RETURNING, with each row's values. Raises `DatabaseError`."""

    async def check(self) -> None:
        """Raise `DatabaseError` unless the database can be read and written."""


class SQLite:
    """A file, with a connection for each of two promises."""

    def __init__(self, fast: aiosqlite.Connection, durable: aiosqlite.Connection) -> None:
        self._fast = fast
        self._durable = durable

    async def fetch(self, sql: str, *values: Value, durable: bool = False) -> list[Any]:
        """See `Database`."""
        connection = self._durable if durable else self._fast
        async with sqlite_errors():
            return list(await connection.execute_fetchall(sql, parameters(values)))

    async def execute_many(self, sql: str, rows: Iterable[tuple[Value, ...]]) -> None:
        """See `Database`."""
        async with sqlite_errors():
            await self._fast.executemany(sql, map(parameters, rows))

    async def check(self) -> None:
        """See `Database`."""
        await self.fetch("SELECT * FROM alembic_version")
        await self.fetch("PRAGMA user_version = 0")  # changes nothing, and is written to the disk


@asynccontextmanager
async def sqlite_errors() -> AsyncIterator[None]:
    """Raise `DatabaseError` in place of SQLite's errors, and when the time is over."""
    try:
        async with asyncio.timeout(TIMEOUT):
            yield
    except sqlite3.OperationalError as error:
        raise DatabaseError(str(error)) from error
    except TimeoutError as error:
        raise DatabaseError(f"SQLite has not answered within {TIMEOUT} s") from error


def parameters(values: Iterable[Value]) -> dict[str, Value]:
    """Name values as SQLite names `$1`, and write times as texts that are in the same order."""
    return {
        str(number): value.astimezone(UTC).isoformat(timespec="microseconds")
        if isinstance(value, datetime)
        else value
        for number, value in enumerate(values, 1)
    }


class PostgreSQL:
    """A pool of connections, which connect when they are needed."""

    def __init__(self, pool: "asyncpg.Pool") -> None:
        self._pool = pool

    async def fetch(self, sql: str, *values: Value, durable: bool = False) -> list[Any]:  # noqa: ARG002  as it always is
        """See `Database`."""
        async with self._connection() as connection:
            return list(await connection.fetch(sql, *values))

    async def execute_many(self, sql: str, rows: Iterable[tuple[Value, ...]]) -> None:
        """See `Database`."""
        async with self._connection() as connection:
            await connection.executemany(sql, rows)

    async def check(self) -> None:
        """See `Database`."""
        await self.fetch("SELECT * FROM alembic_version")
        [[is_replica]] = await self.fetch("SELECT pg_is_in_recovery()")
        if is_replica:
            raise DatabaseError("PostgreSQL is a read-only replica")

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        import asyncpg  # noqa: PLC0415  SQLite needs neither its time nor its memory

        try:
            async with self._pool.acquire(timeout=TIMEOUT / 3) as connection:
                yield connection
        # The last is asyncpg's for a connection that dies as it is taken out of the pool.
        except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            raise DatabaseError(f"PostgreSQL not reached: {error!r}") from error
        except asyncpg.PostgresError as error:
            operators = (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError)
            if str(error.sqlstate).startswith(BUGS) and not isinstance(error, operators):
                raise
            raise DatabaseError(f"PostgreSQL: {error}") from error


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Open the database of the settings. PostgreSQL may still be away."""
    path = settings.sqlite_path
    async with AsyncExitStack() as stack:
        if path:
            fast = await stack.enter_async_context(connect(path, "NORMAL"))
            yield SQLite(fast, await stack.enter_async_context(connect(path, "FULL")))
            return
        import asyncpg  # noqa: PLC0415  as above

        async def keep(_: "asyncpg.Connection") -> None:
            """Leave a connection as it is: each statement is all that happens on it."""

        pool = asyncpg.create_pool(
            settings.database_url.get_secret_value(),
            min_size=0,
            max_size=MAX_CONNECTIONS,
            # A third for a connection, one for the answer, and one to give the connection back.
            timeout=TIMEOUT / 3,
            command_timeout=TIMEOUT / 3,
            reset=keep,
        )
        yield PostgreSQL(await stack.enter_async_context(pool))


@asynccontextmanager
async def connect(path: Path, synchronous: str) -> AsyncIterator[aiosqlite.Connection]:
    """Connect to the file, and make it and its folder if they are missing.

    Raises `DatabaseError`, which names the file.
    """
    async with AsyncExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connecting = aiosqlite.connect(path, timeout=TIMEOUT, isolation_level=None)
            connection = await stack.enter_async_context(connecting)
            connection.row_factory = sqlite3.Row
            await connection.execute(f"PRAGMA synchronous = {synchronous}")
        except (OSError, sqlite3.Error) as error:
            raise DatabaseError(f"{path} cannot be opened: {error}") from error
        yield connection
