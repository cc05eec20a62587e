"""Each test recipient does what the table says of it."""

from typing import Any

import httpx
import pytest

from sandbox.recipients import TEST_RECIPIENTS

ADDRESS = {recipient.name: recipient.address for recipient in TEST_RECIPIENTS}

REFUSED = {
    "suppressed": (422, "unprocessable_entity", "SUPPRESSED+2@SANDBOX.POSTSTACK.DEV"),
    "unverified": (422, "unprocessable_entity", ": example.com"),
    "throttled": (429, "rate_limit_exceeded", ""),
    "quota": (429, "monthly_limit_exceeded", ""),
    "flaky": (500, "internal_error", ""),
    "down": (500, "internal_error", ""),
    "unauthorized": (401, "unauthorized", ""),
    "forbidden": (403, "forbidden", ""),
}
EVENTS = {
    "delivered": (["queued", "sent", "delivered"], "delivered"),
    "bounced": (["queued", "sent", "bounced"], "bounced"),
    "complained": (["queued", "sent", "delivered", "complained"], "complained"),
    "unsubscribed": (["queued", "sent", "delivered", "unsubscribed"], "delivered"),
}


async def test_all_are_tested_and_listed(sandbox: Any) -> None:
    """One table: what is tested here, and what the page shows."""
    assert set(ADDRESS) == {*REFUSED, *EVENTS, "timeout"}
    table = [(recipient.address, recipient.effect) for recipient in TEST_RECIPIENTS]
    guide = (await sandbox.http.get("/guide")).json()
    assert [tuple(recipient.values()) for recipient in guide["recipients"]] == table


@pytest.mark.parametrize("name", REFUSED)
async def test_refusals(sandbox: Any, email: Any, name: str) -> None:
    """The status and code of the table, whatever the address's case, name and +tag; no message."""
    status, code, text = REFUSED[name]
    to = ["ada@example.com", f"Bob <{ADDRESS[name].upper().replace('@', '+2@')}>"]
    error = await sandbox.refusal(sandbox.emails.send(email | {"to": to}), status, code)
    assert error.error.endswith(text)
    assert error.retry_after == (1 if name == "throttled" else None)
    assert await sandbox.messages() == []


@pytest.mark.parametrize("name", EVENTS)
async def test_events(sandbox: Any, email: Any, name: str) -> None:
    """An accepted message goes through its events, and its status follows them."""
    events, status = EVENTS[name]
    await sandbox.emails.send(email | {"bcc": [ADDRESS[name]]})
    [message] = await sandbox.reaches(name)
    assert [event["type"] for event in message["events"]] == events
    assert message["status"] == status


async def test_attempts_are_counted_per_key(sandbox: Any, email: Any) -> None:
    """A job run again counts on with its key; another reason starts from the beginning."""
    flaky = email | {"to": [ADDRESS["flaky"]], "idempotency_key": "receipt:1"}
    other = flaky | {"idempotency_key": "receipt:2"}
    for body in (flaky, other, flaky, other):
        await sandbox.refusal(sandbox.emails.send(body), 500, "internal_error")
    accepted = await sandbox.emails.send(flaky)
    assert await sandbox.emails.send(flaky) == accepted | {"replayed": True}


async def test_without_a_key_the_same_email_fails_anew(sandbox: Any, email: Any) -> None:
    """Once accepted, the count starts over, so that the path can be tried again by hand."""
    throttled = email | {"to": [ADDRESS["throttled"]]}
    for _ in range(2):
        await sandbox.refusal(sandbox.emails.send(throttled), 429, "rate_limit_exceeded")
        await sandbox.emails.send(throttled)


async def test_timeout_keeps_its_caller_waiting_and_nobody_else(sandbox: Any, email: Any) -> None:
    """The caller's own timeout ends the wait, and what nobody waits for is not accepted."""
    # A handler that went on waiting would hold up the server's end, and so this run, for a minute.
    with pytest.raises(httpx.ReadTimeout):
        await sandbox.emails.send(email | {"to": [ADDRESS["timeout"]]}, timeout=0.1)
    sent = await sandbox.emails.send(email)
    assert [message["id"] for message in await sandbox.messages()] == [sent["id"]]
