"""Dispatch without a queue: the caller waits, and learns how it went."""

import json

import httpx
import respx
from poststack import AsyncPostStack

from app.dispatch import DispatchSettings, open_dispatch
from tests.test_roads import ORDER, bodies


async def test_receipt(service: httpx.AsyncClient, wire: respx.Route) -> None:
    """202 once PostStack has accepted the receipt; posting the order twice is one mail to it."""
    responses = [await service.post("/receipts", json=ORDER) for _ in range(2)]

    assert [(r.status_code, r.json()) for r in responses] == [
        (202, {"idempotency_key": "receipt:1001"})
    ] * 2
    first, second = bodies(wire)
    assert first == second
    assert first["idempotency_key"] == "receipt:1001"
    assert first["to"] == ["ada@example.com"]
    assert "Tea &amp; biscuits" in first["html"]
    assert "12.49 EUR" in first["html"]
    assert "12.49 EUR" in first["text"]


async def test_receipt_fails(service: httpx.AsyncClient, wire: respx.Route) -> None:
    """Nothing is lost in silence: the caller gets 503, repeats, and the mail is sent once."""
    wire.mock(side_effect=httpx.ConnectError("refused"))
    assert (await service.post("/receipts", json=ORDER)).status_code == 503

    wire.mock(return_value=httpx.Response(202, json={"id": "em_1"}))
    assert (await service.post("/receipts", json=ORDER)).status_code == 202

    keys = {json.loads(call.request.content)["idempotency_key"] for call in wire.calls}
    assert keys == {"receipt:1001"}


async def test_ready(settings: DispatchSettings, poststack: AsyncPostStack) -> None:
    """There is no queue that could be away."""
    async with open_dispatch(settings, poststack) as dispatch:
        await dispatch.ready()
