"""`send`: what goes over the wire, and what each of PostStack's answers means."""

import asyncio
import json
import logging
import math
from collections.abc import AsyncIterator

import httpx
import pytest
import respx
from poststack import AsyncPostStack
from poststack._client import QUOTA_ERROR_CODES

from app.background import Background
from app.client import open_poststack
from app.delivery import (
    QUOTA_CODES,
    PermanentError,
    RecipientError,
    TemporaryError,
    send,
)
from app.messages import Message
from app.settings import Settings
from tests.test_roads import SIGNUP


async def test_wire(poststack: AsyncPostStack, wire: respx.Route, message: Message) -> None:
    """PostStack receives exactly this JSON, with the key; the caller gets the email's id."""
    assert await send(poststack, message) == "em_1"

    request = wire.calls.last.request
    assert request.headers["authorization"] == "Bearer sk_test_of_the_tests"
    assert json.loads(request.content) == {
        "from": "sender@example.com",
        "to": ["ada@example.com"],
        "subject": "Hello",
        "html": "<p>Hello</p>",
        "text": "Hello",
        "idempotency_key": "test:1",
        "idempotency_window_hours": 72,
    }


def answer(
    status: int, code: str | None, error: str = "No.", retry_after: str | None = None
) -> httpx.Response:
    """An error as PostStack words it."""
    headers = {"x-request-id": "req_1"} | ({"retry-after": retry_after} if retry_after else {})
    body = {"error": error} | ({"code": code} if code else {})
    return httpx.Response(status, json=body, headers=headers)


@pytest.mark.parametrize(
    "response",
    [
        answer(408, "request_timeout"),
        answer(429, "rate_limit_exceeded", retry_after="7"),
        answer(429, None),
        answer(500, "internal_error"),
        answer(503, None, retry_after="7"),
        httpx.Response(502, text="<html>a proxy's page</html>"),
        httpx.Response(200, text="<html>a proxy's page</html>"),
        httpx.Response(200, text="not JSON", headers={"content-type": "application/json"}),
        httpx.Response(200, json={"no": "id"}),
    ],
)
async def test_temporary(
    response: httpx.Response, poststack: AsyncPostStack, wire: respx.Route, message: Message
) -> None:
    """Outages, throttling and answers without sense may be tried again, when PostStack says."""
    wire.mock(return_value=response)

    with pytest.raises(TemporaryError) as caught:
        await send(poststack, message)

    retry_after = response.headers.get("retry-after")
    assert caught.value.retry_after == (float(retry_after) if retry_after else None)


async def test_network(poststack: AsyncPostStack, wire: respx.Route, message: Message) -> None:
    """A connection that breaks, which is no `PostStackError`, is temporary."""
    wire.mock(side_effect=httpx.ReadError("cut"))

    with pytest.raises(TemporaryError):
        await send(poststack, message)


@pytest.mark.parametrize(
    "response",
    [
        answer(400, "invalid_request"),
        answer(401, "unauthorized"),
        answer(403, "forbidden"),
        answer(404, "not_found"),
        answer(409, "conflict"),
        answer(422, "unprocessable_entity", "The domain example.org is not verified."),
        answer(429, "some_new_quota"),
        *(answer(429, code, retry_after="3600") for code in sorted(QUOTA_CODES)),
        httpx.Response(301, headers={"location": "https://elsewhere.test"}),
    ],
)
async def test_permanent(
    response: httpx.Response,
    poststack: AsyncPostStack,
    wire: respx.Route,
    message: Message,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Refusals and quotas are not tried again; the log has code, message and request id."""
    wire.mock(return_value=response)

    with pytest.raises(PermanentError) as caught:
        await send(poststack, message)

    assert type(caught.value) is PermanentError
    [record] = [record for record in caplog.records if record.name == "app.delivery"]
    assert record.levelno == logging.ERROR
    assert str(response.status_code) in record.getMessage()
    if "x-request-id" in response.headers:
        body = response.json()
        assert body["code"] in record.getMessage()
        assert body["error"] in record.getMessage()
        assert "req_1" in record.getMessage()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (422, "ada@example.com is suppressed after a hard bounce."),
        (422, "The recipient is on the suppression list."),
        (400, "Invalid recipient in 'to'."),
    ],
)
async def test_recipient(
    status: int, words: str, poststack: AsyncPostStack, wire: respx.Route, message: Message
) -> None:
    """A refused recipient is told apart from a refused sender."""
    wire.mock(return_value=answer(status, "unprocessable_entity", words))

    with pytest.raises(RecipientError):
        await send(poststack, message)


async def test_deadline(poststack: AsyncPostStack, wire: respx.Route, message: Message) -> None:
    """A PostStack that never answers holds the caller no longer than the deadline."""

    async def silence(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    wire.mock(side_effect=silence)

    with pytest.raises(TemporaryError):
        await send(poststack, message, deadline=0.05)


@pytest.fixture
async def patient(settings: Settings) -> AsyncIterator[AsyncPostStack]:
    """The client as the API has it, with the SDK's own retries."""
    async with open_poststack(settings) as poststack:
        yield poststack


async def test_retries(patient: AsyncPostStack, wire: respx.Route, message: Message) -> None:
    """In the API the SDK retries by itself, and says with its header that it is one request."""
    wire.mock(side_effect=[answer(500, "internal_error"), httpx.Response(202, json={"id": "em_2"})])

    assert await send(patient, message) == "em_2"
    assert len({json.loads(c.request.content)["idempotency_key"] for c in wire.calls}) == 1
    assert wire.call_count == 2


def test_quota_codes() -> None:
    """Our list of quotas is the SDK's; a new SDK that knows more makes this fail."""
    assert QUOTA_CODES == QUOTA_ERROR_CODES


async def test_secrets(
    poststack: AsyncPostStack, wire: respx.Route, message: Message, caplog: pytest.LogCaptureFixture
) -> None:
    """The API key is in no log line and in no error, however the send ends."""
    caplog.set_level(logging.DEBUG)
    for response in (answer(500, None), answer(401, "unauthorized"), httpx.ReadError("cut")):
        wire.mock(side_effect=[response])
        with pytest.raises((TemporaryError, PermanentError)) as caught:
            await send(poststack, message)
        assert "sk_test" not in repr(caught.value) + repr(caught.value.__cause__)
    assert "sk_test" not in caplog.text


def test_delay() -> None:
    """A wait is what PostStack asked for, or doubles up to five minutes; never exactly the same."""
    asked = {TemporaryError("busy", 7.0).delay(attempt) for attempt in range(1, 50)}
    assert 7.0 <= min(asked) < max(asked) <= 8.0
    for absurd in (3e11, math.inf, math.nan):  # each a number that the SDK takes from a header
        assert 86_400 <= TemporaryError("busy", absurd).delay() <= 86_401

    for attempt, most in ((1, 2.0), (5, 32.0), (20, 300.0), (5000, 300.0)):
        delays = {TemporaryError("busy").delay(attempt) for _ in range(50)}
        assert most / 2 <= min(delays) < max(delays) <= most


COUNTED = {
    "mail_accepted_total": 1,
    "mail_acceptance_seconds_count": 1,
    "mail_refused_total": 2,
    "mail_failed_total": 1,
}


async def test_metrics(
    service: httpx.AsyncClient, poststack: AsyncPostStack, wire: respx.Route, message: Message
) -> None:
    """Prometheus sees what was accepted, how long that took, what was refused, and what failed."""

    async def counted() -> dict[str, float]:
        lines = (await service.get("/metrics")).text.splitlines()
        return {
            name: float(value)
            for name, value in (line.split() for line in lines if line.startswith("mail_"))
        }

    before = await counted()
    await send(poststack, message)
    wire.respond(401)
    background = Background(poststack)
    background.take_room()
    await background.send(message)
    assert (await service.post("/signup", json=SIGNUP)).status_code == 502
    after = await counted()

    assert {name: after[name] - before[name] for name in COUNTED} == COUNTED
