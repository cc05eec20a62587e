"""Without a queue the caller of `enqueue` waits, and learns how it went."""

import httpx
import respx

from app.mail.message import Message
from tests.service import EVERYTHING, JSON, ON_THE_WIRE, Sent, problem


async def test_enqueue(
    service: httpx.AsyncClient, wire: respx.Route, message: Message, sent: Sent
) -> None:
    """503 while PostStack is away, 202 once it has accepted the mail, and nothing is lost."""
    body = message.model_dump(mode="json")
    wire.respond(503, headers={"retry-after": "61"})
    assert problem(await service.post("/enqueue", json=body)) == (503, "62")
    wire.respond(202, json={"id": "em_1"})
    assert (await service.post("/enqueue", json=body)).status_code == 202

    first, second = sent()
    assert first == second
    assert (await service.get("/readyz")).status_code == 200  # there is no queue to be away


async def test_everything(service: httpx.AsyncClient, body: JSON, sent: Sent) -> None:
    """All that a mail carries arrives."""
    assert (await service.post("/enqueue", json=body | EVERYTHING)).status_code == 202

    assert sent()[0].items() >= ON_THE_WIRE.items()
