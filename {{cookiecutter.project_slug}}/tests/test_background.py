"""The background road: bounded, and with the log for its only witness."""

import asyncio
from itertools import islice

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

    background = Background(poststack)
    background.take_room()
    await background.send(message)

    last = logged()[-1]
    assert (last["level"], last["idempotency_key"]) == ("ERROR", "test:1")
    assert last["message"].startswith("not sent")


async def test_overload(app: FastAPI, service: httpx.AsyncClient, wire: respx.Route) -> None:
    """Without room the caller gets a 503 at once, and nothing is sent; later there is room."""
    app.state.background = Background(app.state.poststack, room=2)
    free = asyncio.Event()

    async def slow(_: httpx.Request) -> httpx.Response:
        await free.wait()
        return httpx.Response(202, json={"id": "em_1"})

    wire.mock(side_effect=slow)
    # All at once; the client of the tests has the answer to an accepted one when it is sent.
    asked = [asyncio.create_task(service.post("/notify", json=SIGNUP)) for _ in range(10)]
    refused = [await answer for answer in islice(asyncio.as_completed(asked), 8)]
    free.set()

    assert {answer.status_code for answer in refused} == {503}
    assert all(int(answer.headers["retry-after"]) in range(1, 3) for answer in refused)
    assert [(await task).status_code for task in asked].count(202) == 2
    assert wire.call_count == 2
    assert (await service.post("/notify", json=SIGNUP)).status_code == 202
