"""Databases for tests: SQLite files, and a database of our own in a PostgreSQL."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from pydantic import SecretStr

from app.settings import PROJECT, Settings

LOCAL = "postgresql://127.0.0.1:5432/postgres"


def at(settings: Settings, url: str | Path, **update: object) -> Settings:
    """Return the settings with another database."""
    text = f"sqlite:///{url}" if isinstance(url, Path) else url
    return settings.model_copy(update={"database_url": SecretStr(text), **update})


def migrate(url: str) -> None:
    """Run all migrations."""
    config = Config(toml_file=PROJECT / "pyproject.toml")
    settings = Settings(fastapi_env="development", database_url=SecretStr(url))
    config.attributes["settings"] = settings
    command.upgrade(config, "heads")


def execute(url: str, sql: str) -> None:
    """Run a statement in a PostgreSQL."""

    async def connected() -> None:
        connection = await asyncpg.connect(url, timeout=5)
        await connection.execute(sql)
        await connection.close()

    asyncio.run(connected())


def empty(url: str) -> None:
    """Delete all rows of a PostgreSQL database, but for those of Alembic."""
    execute(
        url,
        """DO $$ BEGIN EXECUTE (
            SELECT 'TRUNCATE ' || string_agg(quote_ident(tablename), ', ') FROM pg_tables
            WHERE schemaname = 'public' AND tablename <> 'alembic_version'
        ); END $$""",
    )


def answers(url: str) -> bool:
    """Tell whether a PostgreSQL lets us in."""
    try:
        execute(url, "SELECT 1")
    except (OSError, asyncpg.PostgresError):
        return False
    return True


@contextmanager
def server(folder: Path, port: int) -> Iterator[str]:
    """Run a PostgreSQL with its data in a folder until the block ends; gives its URL."""
    data, url = folder / "data", f"postgresql://test@127.0.0.1:{port}/postgres"
    if not data.exists():
        create = ["initdb", "--auth=trust", "--no-sync", "--username=test", f"--pgdata={data}"]
        create += ["--encoding=UTF8", "--no-locale"]
        subprocess.run(create, check=True, capture_output=True)  # noqa: S603  from the PATH
    start = ["postgres", "-D", str(data), "-p", str(port), "-k", str(folder), "-F"]
    with subprocess.Popen(start, stderr=subprocess.DEVNULL) as process:  # noqa: S603  as above
        try:
            end = time.monotonic() + 20
            while not answers(url):
                assert process.poll() is None, "PostgreSQL did not start"
                assert time.monotonic() < end, "PostgreSQL does not answer"
                time.sleep(0.05)
            yield url
        finally:
            process.terminate()


def can_start() -> bool:
    """Tell whether a PostgreSQL can be started here; it refuses to run as root."""
    return bool(shutil.which("postgres") and shutil.which("initdb")) and os.geteuid() != 0


@contextmanager
def postgresql(folder: Path, port: int) -> Iterator[str]:
    """Make a database with all migrations in a PostgreSQL, and drop it when the block ends.

    In the one that `TEST_DATABASE_URL` names, in one that runs at 127.0.0.1:5432, or in one that
    this starts; or skip the test.
    """
    with ExitStack() as stack:
        url = os.environ.get("TEST_DATABASE_URL")
        if not url:
            if answers(LOCAL):
                url = LOCAL
            elif can_start():
                url = stack.enter_context(server(folder, port))
            else:
                pytest.skip("no PostgreSQL here: start one on port 5432, or set TEST_DATABASE_URL")
        name = f"test_{uuid4().hex[:12]}"
        execute(url, f"CREATE DATABASE {name}")
        try:
            own = urlsplit(url)._replace(path=f"/{name}").geturl()
            migrate(own)
            yield own
        finally:
            execute(url, f"DROP DATABASE {name} WITH (FORCE)")


def relayed(url: str, port: int) -> str:
    """Return the URL of a PostgreSQL by way of a port of this machine."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{at}127.0.0.1:{port}").geturl()
