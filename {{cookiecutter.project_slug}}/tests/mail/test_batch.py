"""Many messages in one call: each keeps its own key, and has its own outcome."""

import json

import pytest
from fastapi import FastAPI
from httpx import ReadError, Request, Response
from poststack import AsyncPostStack
from respx import MockRouter, Route

from app.mail.batch import send_in_batches
from app.mail.errors import PermanentError, TransientError
from app.mail.message import Message
from tests.service import Logged, counter, suppress

EACH_ALONE = [str, PermanentError]
UNAUTHORIZED = Response(401)


@pytest.fixture
def messages(message: Message) -> list[Message]:
    """More than two calls can take, each with its own recipient and key."""
    each = [{"recipient": f"ada{n}@example.com", "idempotency_key": f"{n}"} for n in range(250)]
    return [message.model_copy(update=update) for update in each]


@pytest.fixture
def batches(router: MockRouter) -> Route:
    """PostStack's `POST /emails/batch`, beside `wire`."""
    return router.post(path="/emails/batch")


@pytest.mark.usefixtures("service")
async def test_wire(app: FastAPI, wire: Route, batches: Route, messages: list[Message]) -> None:
    """250 messages are three calls, without the suppressed; each has its outcome in its place."""

    def accept(request: Request) -> Response:
        emails = json.loads(request.content)["emails"]
        ids = [{"id": f"{email['to']} {email['idempotency_key']}"} for email in emails]
        return Response(202, json={"data": ids})

    batches.mock(side_effect=accept)
    await suppress(app, "ada7@example.com")
    accepted = counter("mail_accepted_total")

    outcomes = await app.state.mailer.send_many(messages)

    assert str(outcomes.pop(7)) == "suppressed: hard_bounce"
    assert outcomes == [f"['ada{n}@example.com'] {n}" for n in range(250) if n != 7]
    sizes = [len(json.loads(call.request.content)["emails"]) for call in batches.calls]
    assert sizes == [100, 100, 49]
    assert not wire.called
    assert counter("mail_accepted_total") == accepted + 249


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [
        *((Response(status), EACH_ALONE) for status in (400, 409, 413, 422)),
        (Response(202, json={"data": [{"id": "em_1"}]}), EACH_ALONE),
        (Response(202, json={"data": "em"}), EACH_ALONE),
        (Response(202, json=[{"id": "em_1"}, {"id": "em_2"}]), EACH_ALONE),
        (Response(429), [TransientError, TransientError]),
        (ReadError("cut"), [TransientError, TransientError]),
        (UNAUTHORIZED, [PermanentError, PermanentError]),
    ],
)
async def test_refused(
    answer: Response | Exception,
    kinds: list[type],
    poststack: AsyncPostStack,
    *,
    wire: Route,
    batches: Route,
    messages: list[Message],
    logged: Logged,
) -> None:
    """What a batch does not clearly accept is sent by itself, with the same key.

    What would befall each message alone befalls all, and is not tried a hundred times.
    """
    batches.mock(side_effect=[answer])
    wire.mock(side_effect=[Response(202, json={"id": "em_9"}), UNAUTHORIZED])

    outcomes = await send_in_batches(poststack, messages[:2])

    assert {type(outcome) for outcome in outcomes} == set(kinds)
    keys = [json.loads(call.request.content)["idempotency_key"] for call in wire.calls]
    assert sorted(keys) == (["0", "1"] if kinds is EACH_ALONE else [])
    if answer == UNAUTHORIZED:
        assert [line["idempotency_key"] for line in logged()] == ["0", "1"]
