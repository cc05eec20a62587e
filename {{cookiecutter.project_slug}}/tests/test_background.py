"""The background road: bounded, and with the log for its only witness."""

import asyncio

import httpx
import pytest
import respx
from fastapi import FastAPI
from poststack import AsyncPostStack

from app.background import Background
from app.messages import Message
from tests.conftest import Logged

SIGNUP = {"email": "ada@example.com", "name": "Ada"}


@pytest.mark.parametrize("status", [500, 401])
async def test_failure(
    status: int,
    poststack: AsyncPostStack,
    wire: respx.Route,
    message: Message,
    logged: Logged,
) -> None:
    """Where nobody listens, any failure is an error in the log, under the message's key."""
    wire.respond(status, json={"error": "No."})

    await Background(poststack).send(message)

    last = logged()[-1]
    assert (last["level"], last["idempotency_key"]) == ("ERROR", "test:1")
    assert last["message"].startswith("not sent")


async def test_overload(app: FastAPI, service: httpx.AsyncClient, wire: respx.Route) -> None:
    """Without room the caller gets a 503 at once, and nothing is sent; later there is room."""
    app.state.background = Background(app.state.poststack, room=2)
    arrived, free = asyncio.Semaphore(0), asyncio.Event()

    async def slow(_: httpx.Request) -> httpx.Response:
        arrived.release()
        await free.wait()
        return httpx.Response(202, json={"id": "em_1"})

    wire.mock(side_effect=slow)
    # The client of the tests has its answer only when the task is done.
    accepted = [asyncio.create_task(service.post("/notify", json=SIGNUP)) for _ in range(2)]
    for _ in accepted:
        await arrived.acquire()

    refused = await service.post("/notify", json=SIGNUP)
    free.set()

    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) in range(1, 3)
    assert {(await task).status_code for task in accepted} == {202}
    assert wire.call_count == 2
    assert (await service.post("/notify", json=SIGNUP)).status_code == 202
