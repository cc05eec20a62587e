"""What a load balancer learns about the service."""

import asyncio
import sqlite3
import threading

import aiosqlite
import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from app.settings import Settings
from app.web import health
from tests.service import Logged, problem


async def test_broken_database(service: AsyncClient, settings: Settings, logged: Logged) -> None:
    """Without its table the service is alive and no longer ready; only the log says why."""
    assert (await service.get("/readyz")).json() == {"status": "ready"}
    with sqlite3.connect(str(settings.sqlite_path)) as database:
        database.execute("DROP TABLE alembic_version")
    database.close()

    response = await service.get("/readyz")

    assert problem(response) == (503, "2")
    assert response.json()["detail"] == "Not ready: database."
    [line] = logged()
    assert line["message"] == "database not ready: DatabaseError('no such table: alembic_version')"
    assert line["request_id"] == response.headers["x-request-id"]
    assert (await service.get("/healthz")).json() == {"status": "ok"}


async def test_silent_database(
    app: FastAPI, service: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that does not answer is noticed in time."""
    monkeypatch.setattr(health, "READINESS_TIMEOUT", 0.1)
    database: aiosqlite.Connection = app.state.database._fast
    release = threading.Event()
    await database.create_function("hang", 0, release.wait)
    hanging = asyncio.create_task(database.execute_fetchall("SELECT hang()"))

    response = await asyncio.wait_for(service.get("/readyz"), 5)  # it hangs until it is released
    release.set()
    await hanging

    assert problem(response) == (503, "2")
    assert (await service.get("/readyz")).status_code == 200
