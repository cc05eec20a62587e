"""`send`: what goes over the wire, and what each of PostStack's answers means."""

import asyncio
import math

import pytest
from httpx import Request, Response, TransportError
from poststack import AsyncPostStack
from respx import Route

from app.mail.client import open_poststack
from app.mail.errors import MailError, RecipientError, TransientError
from app.mail.message import Message
from app.mail.sender import send
from app.settings import Settings
from tests.service import Logged, Sent, counter


async def test_wire(
    poststack: AsyncPostStack, wire: Route, message: Message, sent: Sent, logged: Logged
) -> None:
    """PostStack receives exactly this JSON, with the key; the caller gets the email's id."""
    before = counter("mail_accepted_total"), counter("mail_acceptance_seconds_count")

    assert await send(poststack, message) == "em_1"

    assert wire.calls.last.request.headers["authorization"] == "Bearer sk_test_of_the_tests"
    assert sent() == [
        {
            "from": "sender@example.com",
            "to": ["ada@example.com"],
            "subject": "Hello",
            "html": "<p>Hello</p>",
            "text": "Hello",
            "idempotency_key": "test:1",
            "idempotency_window_hours": 72,
        }
    ]
    [line] = logged()
    assert (line["level"], line["idempotency_key"], line["email_id"]) == ("INFO", "test:1", "em_1")
    after = counter("mail_accepted_total"), counter("mail_acceptance_seconds_count")
    assert after == (before[0] + 1, before[1] + 1)


async def test_permanent(
    poststack: AsyncPostStack, wire: Route, message: Message, logged: Logged
) -> None:
    """A refusal is an error in the log, with PostStack's words but no address, and counts."""
    message = message.model_copy(update={"recipient": '"Ada L." <ada@example.com>'})
    words = {"error": "Ada L. <Ada@example.com> is blocked.", "code": "blocked"}
    wire.respond(422, json=words, headers={"x-request-id": "req_1"})
    refused = counter("mail_refused_total")

    with pytest.raises(RecipientError) as caught:
        await send(poststack, message)

    told = "PostStack answered 422 blocked: <name> <<address>> is blocked. (request req_1)"
    [line] = logged()
    assert str(caught.value) == line["message"] == told
    assert (line["level"], line["idempotency_key"]) == ("ERROR", "test:1")
    assert counter("mail_refused_total") == refused + 1


@pytest.mark.parametrize(
    "answer",
    [
        Response(202, content=b"[" * 100_000),
        Response(202, content=b"\xff\xfe"),
        Response(202, json={"id": 5}),
        Response(422, json={"error": ["\x1b[31mred"], "code": {"a": 1}}),
        Response(429, json={"error": None, "code": ["b"]}, headers={"retry-after": "9" * 5000}),
        Response(500, content=b"<html>\0</html>"),
        Response(302, headers={"location": "http://127.0.0.1:1/"}),
    ],
)
async def test_hostile(
    answer: Response, poststack: AsyncPostStack, wire: Route, message: Message, logged: Logged
) -> None:
    """Whatever PostStack answers is one of our errors, in words that no terminal obeys."""
    wire.mock(side_effect=[answer])

    with pytest.raises(MailError) as caught:
        await send(poststack, message)

    assert str(caught.value).isprintable()
    assert logged()[0]["message"].isprintable()


async def test_timeouts(
    poststack: AsyncPostStack, wire: Route, message: Message, logged: Logged
) -> None:
    """A PostStack that never answers holds the caller for so long, and each attempt for less."""

    async def silence(_: Request) -> None:
        await asyncio.Event().wait()

    wire.mock(side_effect=silence)
    async with asyncio.timeout(3):
        with pytest.raises(TransientError, match="PostStack not reached: TimeoutError"):
            await send(poststack, message, seconds=0.05)
        with pytest.raises(TransportError, match="Timeout"):
            await poststack.emails.send({}, timeout=0.05)
    [line] = logged()
    assert (line["level"], line["idempotency_key"]) == ("WARNING", "test:1")


async def test_retries(settings: Settings, wire: Route, message: Message, sent: Sent) -> None:
    """In the API the SDK retries by itself, with the same idempotency key."""
    wire.mock(side_effect=[Response(500), Response(202, json={"id": "em_2"})])

    async with open_poststack(settings) as poststack:
        assert await send(poststack, message) == "em_2"

    first, second = sent()
    assert first == second


def test_delay() -> None:
    """A wait is what PostStack asked for, or doubles up to five minutes; never exactly the same."""
    asked = {TransientError("busy", 7.0).delay(attempt) for attempt in range(1, 50)}
    assert 7.0 <= min(asked) < max(asked) <= 8.0
    for absurd in (3e11, math.inf, math.nan):  # each a number that the SDK takes from a header
        assert 86_400 <= TransientError("busy", absurd).delay() <= 86_401

    for attempt, most in ((1, 2.0), (5, 32.0), (20, 300.0), (5000, 300.0)):
        delays = {TransientError("busy").delay(attempt) for _ in range(50)}
        assert most / 2 <= min(delays) < max(delays) <= most
