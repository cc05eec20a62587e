"""A service has the tables that it needs, or says what is missing."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError

from app.database import open_database
from app.mail.suppressions import Suppressions
from app.migrations import behind, prepare_database, revisions
from app.settings import PROJECT, Settings
from tests.databases import at, execute, migrate
from tests.service import Logged

OLD_TABLES = """
CREATE TABLE events (
    id TEXT PRIMARY KEY, type TEXT NOT NULL, email_id TEXT NOT NULL, recipient TEXT NOT NULL,
    time TEXT NOT NULL
);
CREATE INDEX events_of_email ON events (email_id);
CREATE INDEX suppressions ON events (recipient) WHERE type IN ('bounced', 'complained');
INSERT INTO events VALUES
    ('1', 'delivered', 'em_1', 'ada@example.com', '2026-02-03T04:05:06+00:00'),
    ('2', 'complained', 'em_1', 'ada@example.com', '2026-02-04T04:05:06+00:00'),
    ('3', 'bounced', 'em_2', 'bob@example.com', '2026-02-04T04:05:06.789000+00:00'),
    ('4', 'soft_bounced', 'em_3', 'eve@example.com', '2026-02-04T04:05:06+00:00');
"""
"""What release 0.2.0 made."""


@pytest.fixture
def empty_url(postgresql_url: str) -> Iterator[str]:
    """A PostgreSQL database without a table."""
    name = f"test_{uuid4().hex[:12]}"
    execute(postgresql_url, f"CREATE DATABASE {name}")
    yield urlsplit(postgresql_url)._replace(path=f"/{name}").geturl()
    execute(postgresql_url, f"DROP DATABASE {name} WITH (FORCE)")


def at_once(program: str) -> list[int]:
    """Run a program in two processes; return their exit codes."""
    command = [sys.executable, "-c", program]
    started = [subprocess.Popen(command, cwd=PROJECT) for _ in range(2)]  # noqa: S603  ours
    return [process.wait() for process in started]


def test_revisions() -> None:
    """What is read out of the files is what Alembic makes of them."""
    scripts = ScriptDirectory.from_config(Config(toml_file=PROJECT / "pyproject.toml"))
    known = {script.revision for script in scripts.walk_revisions()}
    assert revisions() == (known, set(scripts.get_heads()))


def test_new_file(tmp_path: Path) -> None:
    """Of processes that open a new SQLite file at once each finds its tables."""
    path = tmp_path / "new" / "folder" / "service.sqlite3"
    program = (
        "from app.migrations import prepare_database; from app.settings import Settings;"
        f"prepare_database(Settings(fastapi_env='development', database_url='sqlite:///{path}'))"
    )
    assert at_once(program) == [0, 0]
    with closing(sqlite3.connect(path)) as connection:
        [[mode]] = connection.execute("PRAGMA journal_mode")
        versions = {name for (name,) in connection.execute("SELECT * FROM alembic_version")}
    assert mode == "wal"
    assert versions == revisions()[1]


def test_all_or_nothing(tmp_path: Path) -> None:
    """All migrations are one transaction, into which no other process comes."""
    path = tmp_path / "service.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE emails (in_the_way)")
        with pytest.raises(OperationalError, match="emails already exists"):
            migrate(f"sqlite:///{path}")
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("emails",)]


async def test_old_file(tmp_path: Path, settings: Settings) -> None:
    """The data of a service that was made with 0.2.0 come along, with its suppressions."""
    path = tmp_path / "old.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLD_TABLES)

    await asyncio.to_thread(prepare_database, at(settings, path))

    async with open_database(at(settings, path)) as database:
        [ada, bob] = await Suppressions(database).list()
        assert ada[:3] == ("ada@example.com", "complaint", "em_1")
        assert bob[:3] == ("bob@example.com", "hard_bounce", "em_2")
        assert len(await database.fetch("SELECT * FROM events")) == 4


def test_behind(settings: Settings, empty_url: str) -> None:
    """With PostgreSQL in production an operator migrates, once for all processes."""
    production = at(settings, empty_url, fastapi_env="production")
    with pytest.raises(SystemExit, match="Run `uv run poe migrate`"):
        prepare_database(production)

    program = f"from tests.databases import migrate; migrate({empty_url!r})"
    assert at_once(program) == [0, 0]
    prepare_database(production)
    newer = "UPDATE alembic_version SET version_num = 'mail_9' WHERE version_num = 'mail_0001'"
    execute(empty_url, newer)
    assert not asyncio.run(behind(production))  # a newer version of the service was here


def test_development(settings: Settings, empty_url: str) -> None:
    """In development nobody needs to think of it."""
    prepare_database(at(settings, empty_url))
    assert not asyncio.run(behind(at(settings, empty_url)))


def test_away(settings: Settings, logged: Logged) -> None:
    """A database that is away is no reason not to start: it will be back."""
    prepare_database(at(settings, "postgresql://127.0.0.1:1/mail", fastapi_env="production"))
    [line] = logged()
    assert line["message"].startswith("PostgreSQL not reached")


def test_failing(tmp_path: Path, settings: Settings) -> None:
    """A file that cannot be used is one line that names it."""
    path = tmp_path / "notes.txt"
    path.write_text("This is no database. " * 100)
    for each, reason in ((path, "not a database"), (path / "below.sqlite3", "File exists.*")):
        with pytest.raises(SystemExit, match=rf"cannot start: .*notes.*{reason}"):
            prepare_database(at(settings, each))


def test_downgrade(tmp_path: Path) -> None:
    """All migrations can be taken back."""
    path = tmp_path / "service.sqlite3"
    migrate(f"sqlite:///{path}")
    config = Config(toml_file=PROJECT / "pyproject.toml")
    config.attributes["settings"] = Settings(
        fastapi_env="development", database_url=SecretStr(f"sqlite:///{path}")
    )
    command.downgrade(config, "base")
    with closing(sqlite3.connect(path)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert not tables & {"users", "emails", "events", "suppressions"}
