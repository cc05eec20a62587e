"""What a load balancer learns about the service."""

import asyncio
import sqlite3
import threading
import time

import aiosqlite
import httpx
import pytest
from fastapi import FastAPI

from app.api import operations
from app.dispatch import DispatchSettings
from tests.conftest import Logged
from tests.test_problems import problem


async def test_ready(service: httpx.AsyncClient) -> None:
    """With all that it needs, the service is ready."""
    response = await service.get("/readyz")

    assert (response.status_code, response.json()) == (200, {"status": "ready"})


async def test_broken_database(
    service: httpx.AsyncClient, settings: DispatchSettings, logged: Logged
) -> None:
    """Without its table the service is alive and not ready; only the log says why."""
    with sqlite3.connect(settings.database_path) as database:
        database.execute("DROP TABLE users")
    database.close()

    response = await service.get("/readyz")

    assert problem(response)[0] == 503
    assert response.json()["detail"] == "Not ready: database."
    [line] = logged()
    assert line["message"] == "database not ready: OperationalError('no such table: users')"
    assert line["request_id"] == response.headers["x-request-id"]
    assert (await service.get("/healthz")).status_code == 200


async def test_silent_database(
    app: FastAPI, service: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that does not answer is noticed in time."""
    monkeypatch.setattr(operations, "PATIENCE", 0.1)
    database: aiosqlite.Connection = app.state.users._database
    release = threading.Event()
    await database.create_function("hang", 0, release.wait)
    hanging = asyncio.create_task(database.execute_fetchall("SELECT hang()"))

    started = time.monotonic()
    response = await service.get("/readyz")
    seconds = time.monotonic() - started
    release.set()
    await hanging

    assert problem(response)[0] == 503
    assert 0.1 <= seconds < 5  # it hangs until it is released
    assert (await service.get("/readyz")).status_code == 200
