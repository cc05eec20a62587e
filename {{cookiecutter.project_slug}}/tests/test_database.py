"""Both databases: the same statements, and one error for all that passes."""

import asyncio
import gc
import json
import socket
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta, timezone
from time import monotonic
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

import app.database
from app.application import create_app
from app.database import MAX_CONNECTIONS, Database, DatabaseError, SQLite, open_database
from app.settings import Settings
from tests.databases import at, execute, relayed
from tests.relay import Relay
from tests.service import JSON, Logged, Sent, open_client, problem, router, sign, webhook

NOON = datetime(2026, 2, 3, 12, tzinfo=UTC)
INSERT = """
INSERT INTO events (id, type, email_id, recipient, time) VALUES ($1, 'delivered', 'em_1', $2, $3)
ON CONFLICT (id) DO NOTHING RETURNING id
"""


async def test_statements(database: Database) -> None:
    """Values, conflicts, rows and the order of times are alike, in whichever zone a time is."""
    times = [NOON, NOON + timedelta(microseconds=1), NOON + timedelta(seconds=1)]
    zone = timezone(timedelta(hours=5))
    rows = [(str(number), "Zoë", time.astimezone(zone)) for number, time in enumerate(times)]
    await database.execute_many(INSERT.removesuffix(" RETURNING id\n"), reversed(rows))

    assert await database.fetch(INSERT, "1", "Eve", NOON, durable=True) == []
    found = await database.fetch("SELECT id, recipient FROM events WHERE time > $1", NOON)
    ordered = await database.fetch("SELECT id FROM events ORDER BY time DESC")
    assert sorted(map(tuple, found)) == [("1", "Zoë"), ("2", "Zoë")]
    assert [row["id"] for row in ordered] == ["2", "1", "0"]
    await database.check()


async def test_bug(database: Database) -> None:
    """A wrong statement is a bug, and not a reason to ask again."""
    await database.fetch(INSERT, "1", "ada@example.com", NOON)
    with pytest.raises((sqlite3.IntegrityError, asyncpg.UniqueViolationError)):
        await database.fetch("INSERT INTO events SELECT * FROM events")


async def test_behind(database: Database) -> None:
    """A table that is not there yet may come."""
    with pytest.raises(DatabaseError, match="table_of_tomorrow"):
        await database.fetch("SELECT * FROM table_of_tomorrow")


@pytest.fixture
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a shorter time."""
    monkeypatch.setattr(app.database, "TIMEOUT", 0.4)


@pytest.mark.usefixtures("short_timeout")
async def test_locked_file(settings: Settings) -> None:
    """A lock that another process holds is an error in time, for everybody who waits."""
    assert settings.sqlite_path
    other = sqlite3.connect(settings.sqlite_path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    async with open_database(settings) as database:
        start = monotonic()
        outcomes = await asyncio.gather(
            *(database.fetch(INSERT, str(n), "ada@example.com", NOON) for n in range(5)),
            return_exceptions=True,
        )
        assert monotonic() - start < 0.8
        assert all(isinstance(outcome, DatabaseError) for outcome in outcomes)
        with pytest.raises(DatabaseError):
            await database.check()
        other.execute("ROLLBACK")
        other.close()
        await database.check()


@pytest.mark.usefixtures("short_timeout")
async def test_silent_file(settings: Settings) -> None:
    """A disk that does not answer is an error in time."""
    async with open_database(settings) as database:
        assert isinstance(database, SQLite)
        release = threading.Event()
        await database._fast.create_function("hang", 0, release.wait)
        with pytest.raises(DatabaseError, match="not answered"):
            await database.fetch("SELECT hang()")
        release.set()
        await database.check()


async def test_full_disk(settings: Settings) -> None:
    """What a full disk refuses is an error that passes; and reading goes on."""
    async with open_database(settings) as database:
        assert isinstance(database, SQLite)
        [[pages]] = await database.fetch("PRAGMA page_count")
        await database.fetch(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(DatabaseError, match="full"):
            await database.fetch(INSERT, "1", "a" * 100_000, NOON)
        assert await database.fetch("SELECT * FROM events") == []
        await database.fetch("PRAGMA query_only = true")  # as a read-only disk
        with pytest.raises(DatabaseError, match="readonly"):
            await database.check()


@asynccontextmanager
async def behind_relay(settings: Settings, url: str) -> AsyncIterator[tuple[Database, Relay]]:
    """Open a PostgreSQL behind a relay."""
    address = urlsplit(url)
    relay = Relay(address.hostname, address.port or 5432)
    await relay.listen()
    async with open_database(at(settings, relayed(url, relay.port))) as database:
        yield database, relay
    await relay.close()
    # asyncpg leaves errors that nobody awaits, which asyncio logs when they are collected: here,
    # and not in the log of another test.
    gc.collect()


async def fails(database: Database, callers: int = 20) -> None:
    """Check that everybody gets an error in time, while the loop serves others."""
    start, longest = monotonic(), 0.0
    asked = asyncio.gather(
        *(database.fetch("SELECT 1") for _ in range(callers)), return_exceptions=True
    )
    while not asked.done():
        turn = monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, monotonic() - turn)
    assert {type(outcome) for outcome in await asked} == {DatabaseError}
    assert monotonic() - start < 3
    assert longest < 0.5


async def recovers(database: Database) -> None:
    """Check that the database answers again, with one error at most for each old connection."""
    for _ in range(MAX_CONNECTIONS):
        with suppress(DatabaseError):
            await database.fetch("SELECT 1")
    await asyncio.gather(*(database.fetch("SELECT 1") for _ in range(20)))


async def test_postgresql_away(settings: Settings, postgresql_url: str) -> None:
    """Refused, restarted and silent: errors in time, and then it goes on by itself."""
    async with behind_relay(settings, postgresql_url) as (database, relay):
        await asyncio.gather(*(database.fetch("SELECT pg_sleep(0.1)") for _ in range(5)))
        await relay.close()
        await fails(database)
        await relay.listen()
        await recovers(database)

        relay.hang_up()
        await recovers(database)

        relay.answering.clear()
        await fails(database)
        await fails(database)
        relay.answering.set()
        await recovers(database)


async def test_busy_pool(settings: Settings, postgresql_url: str) -> None:
    """Who finds no connection in time gets an error, and the others their answer."""
    async with open_database(at(settings, postgresql_url)) as database:
        start = monotonic()
        outcomes = await asyncio.gather(
            *(database.fetch("SELECT pg_sleep(0.6)") for _ in range(5 * MAX_CONNECTIONS)),
            return_exceptions=True,
        )
        assert monotonic() - start < 3
    kinds = [type(outcome) for outcome in outcomes]
    assert set(kinds) == {list, DatabaseError}
    assert kinds.count(list) >= MAX_CONNECTIONS


async def test_out_of_connections(settings: Settings, postgresql_url: str) -> None:
    """PostgreSQL has a limit, too; who is over it gets an error, and later an answer."""
    role = f"test_{uuid4().hex[:12]}"
    create = f"CREATE ROLE {role} LOGIN PASSWORD '{role}' CONNECTION LIMIT 1"
    await asyncio.to_thread(execute, postgresql_url, create)
    url = urlsplit(postgresql_url)
    netloc = f"{role}:{role}@{url.netloc.rpartition('@')[2]}"
    settings = at(settings, url._replace(netloc=netloc).geturl())
    try:
        async with open_database(settings) as first, open_database(settings) as second:
            await first.fetch("SELECT 1")
            with pytest.raises(DatabaseError, match="too many connections"):
                await second.fetch("SELECT 1")
            with pytest.raises(DatabaseError, match="permission denied"):
                await first.fetch("SELECT * FROM events")
    finally:
        await asyncio.to_thread(execute, postgresql_url, f"DROP ROLE {role}")


async def test_callers(settings: Settings, body: JSON, sent: Sent, logged: Logged) -> None:
    """Without the database each caller gets a 503, no mail is sent, and the service lives."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    service_app = create_app(at(settings, f"postgresql://u:planted@127.0.0.1:{port}/mail"))
    service_app.include_router(router)
    content = json.dumps(webhook()).encode()
    headers = {"X-PostStack-Signature": sign(content, "whsec_of_the_tests")}
    async with open_client(service_app) as service:
        answers = [
            await service.post("/send", json=body),
            await service.post("/enqueue", json=body),
            await service.post("/webhooks/poststack", content=content, headers=headers),
            await service.get("/emails/test:1"),
            await service.get("/readyz"),
        ]
        assert (await service.post("/send-in-background", json=body)).status_code == 202
        assert (await service.get("/healthz")).status_code == 200

    assert {problem(answer)[0] for answer in answers} == {503}
    assert all(problem(answer)[1] for answer in answers)
    assert sent() == []
    assert any("PostgreSQL not reached" in line["message"] for line in logged())
    assert "planted" not in json.dumps(logged())
