"""Many messages in one call: each keeps its own key, and has its own outcome."""

import json
from collections.abc import Callable

import httpx
import pytest
import respx
from poststack import AsyncPostStack
from starlette.types import ASGIApp

from app.batch import MOST, send_many
from app.client import open_poststack
from app.delivery import PermanentError, RecipientError, TemporaryError
from app.dispatch import DispatchSettings
from app.messages import Message
from sandbox.main import create_sandbox
from tests.conftest import Logged


def numbered(message: Message, count: int) -> list[Message]:
    """Make messages that differ in their recipients and keys."""
    return [
        message.model_copy(
            update={"recipient": f"ada{n}@example.com", "idempotency_key": f"test:{n}"}
        )
        for n in range(count)
    ]


@pytest.fixture
def batches(router: respx.MockRouter) -> respx.Route:
    """PostStack's `POST /emails/batch`, beside `wire`."""
    return router.post(path="/emails/batch")


async def test_sandbox(
    serve: Callable[[ASGIApp], str], settings: DispatchSettings, message: Message
) -> None:
    """250 messages are three calls; a repeat is absorbed; a refusal is that one's alone."""
    url = serve(create_sandbox(api_key="sk_test_of_the_tests"))
    settings = settings.model_copy(update={"poststack_base_url": url})
    messages = numbered(message, 250)
    messages[7] = messages[7].model_copy(update={"recipient": "suppressed@sandbox.poststack.dev"})

    async with open_poststack(settings) as poststack:
        first = await send_many(poststack, messages)
        again = await send_many(poststack, messages)

    assert [isinstance(outcome, RecipientError) for outcome in first] == [
        n == 7 for n in range(250)
    ]
    assert len({outcome for outcome in first if isinstance(outcome, str)}) == 249
    assert [o for o in again if isinstance(o, str)] == [o for o in first if isinstance(o, str)]
    async with httpx.AsyncClient(base_url=url) as client:
        found = (await client.get("/messages")).json()["messages"]
    assert {mail["repeats"] for mail in found} == {1}
    assert len(found) == 249


async def test_wire(
    poststack: AsyncPostStack, wire: respx.Route, batches: respx.Route, message: Message
) -> None:
    """One call carries each message as a single send would."""
    batches.respond(202, json={"data": [{"id": "em_1"}, {"id": "em_2"}]})

    assert await send_many(poststack, numbered(message, 2)) == ["em_1", "em_2"]

    emails = json.loads(batches.calls.last.request.content)["emails"]
    assert [(email["to"], email["idempotency_key"]) for email in emails] == [
        (["ada0@example.com"], "test:0"),
        (["ada1@example.com"], "test:1"),
    ]
    assert not wire.called


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(202, json={"data": [{"id": "em_1"}]}),
        httpx.Response(202, json=[{"id": "em_1"}, {"id": "em_2"}]),
        httpx.Response(202, json={"ids": ["em_1", "em_2"]}),
        httpx.Response(400, json={"error": "emails[1] has no subject", "code": "invalid_request"}),
        httpx.Response(422, json={"error": "No.", "code": "unprocessable_entity"}),
        httpx.Response(409, json={"error": "idempotency key of emails[1]", "code": "conflict"}),
        httpx.Response(413),
    ],
)
async def test_unclear(
    answer: httpx.Response,
    poststack: AsyncPostStack,
    wire: respx.Route,
    batches: respx.Route,
    message: Message,
) -> None:
    """What a batch does not clearly accept is sent by itself, with the same key."""
    batches.mock(return_value=answer)
    wire.mock(
        side_effect=lambda request: (
            httpx.Response(202, json={"id": "em_9"})
            if json.loads(request.content)["idempotency_key"] == "test:0"
            else httpx.Response(401, json={"error": "No.", "code": "unauthorized"})
        )
    )

    accepted, refused = await send_many(poststack, numbered(message, 2))

    assert accepted == "em_9"
    assert type(refused) is PermanentError
    assert batches.call_count == 1


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (httpx.Response(429, headers={"retry-after": "7"}), TemporaryError("", 7.0)),
        (httpx.Response(503), TemporaryError("")),
        (httpx.ReadError("cut"), TemporaryError("")),
        (httpx.Response(401), PermanentError()),
    ],
)
async def test_refused(
    answer: httpx.Response | Exception,
    outcome: TemporaryError | PermanentError,
    *,
    logged: Logged,
    poststack: AsyncPostStack,
    wire: respx.Route,
    batches: respx.Route,
    message: Message,
) -> None:
    """What would befall each message alone befalls all, and is not tried a hundred times."""
    batches.mock(side_effect=[answer])

    outcomes = await send_many(poststack, numbered(message, MOST))

    assert len(outcomes) == MOST
    for each in outcomes:
        assert type(each) is type(outcome)
        assert getattr(each, "retry_after", None) == getattr(outcome, "retry_after", None)
    assert not wire.called
    if isinstance(answer, httpx.Response):
        keys = [line["idempotency_key"] for line in logged()]
        assert keys == [f"test:{n}" for n in range(MOST)]
