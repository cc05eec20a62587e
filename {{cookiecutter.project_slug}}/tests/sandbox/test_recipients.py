"""Each magic recipient does what the table says of it."""

import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from poststack import AsyncPostStack, PostStackError

from sandbox.recipients import MAGIC_RECIPIENTS

ADDRESS = {magic.name: magic.address for magic in MAGIC_RECIPIENTS}

REFUSED = {
    "suppressed": (422, "unprocessable_entity", ADDRESS["suppressed"]),
    "unverified": (422, "unprocessable_entity", "example.com"),
    "throttled": (429, "rate_limit_exceeded", ""),
    "quota": (429, "monthly_limit_exceeded", ""),
    "flaky": (500, "internal_error", ""),
    "down": (500, "internal_error", ""),
    "unauthorized": (401, "unauthorized", ""),
    "forbidden": (403, "forbidden", ""),
}
HAPPENS = {
    "delivered": (["queued", "sent", "delivered"], "delivered"),
    "bounced": (["queued", "sent", "bounced"], "bounced"),
    "complained": (["queued", "sent", "delivered", "complained"], "complained"),
    "unsubscribed": (["queued", "sent", "delivered", "unsubscribed"], "delivered"),
}


async def refusal(client: AsyncPostStack, email: Any) -> PostStackError:
    """The error that a send ends in."""
    with pytest.raises(PostStackError) as refused:
        await client.emails.send(email)
    return refused.value


def test_no_recipient_is_untested() -> None:
    """A recipient added to the table needs a line here."""
    assert set(ADDRESS) == set(REFUSED) | set(HAPPENS) | {"timeout"}


def test_page_lists_them_all() -> None:
    """The table in `docs/mailbox.md` is this one."""
    page = Path(__file__).parents[2].joinpath("docs", "mailbox.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\S+@sandbox\.poststack\.dev)` \| (.+) \|$", page, re.MULTILINE)
    assert rows == [(magic.address, magic.effect) for magic in MAGIC_RECIPIENTS]


@pytest.mark.parametrize("name", REFUSED)
async def test_refusals(poststack: AsyncPostStack, email: Any, inbox: Any, name: str) -> None:
    """The first attempt is refused with the status and code of the table, and stores nothing."""
    status, code, named = REFUSED[name]
    error = await refusal(poststack, email | {"to": ["ada@example.com", ADDRESS[name]]})
    assert (error.status_code, error.code) == (status, code)
    assert named in error.error
    assert error.retry_after == (1 if name == "throttled" else None)
    assert await inbox() == []


@pytest.mark.parametrize("name", HAPPENS)
async def test_events(
    poststack: AsyncPostStack, email: Any, inbox: Any, until: Any, name: str
) -> None:
    """An accepted message goes through its events, and its status follows them."""
    events, status = HAPPENS[name]
    await poststack.emails.send(email | {"bcc": [ADDRESS[name]]})

    async def all_happened() -> bool:
        return len((await inbox())[0]["events"]) == len(events)

    await until(all_happened)
    message = (await inbox())[0]
    assert [event["type"] for event in message["events"]] == events
    assert message["status"] == status


async def test_sdk_outlasts_the_flaky_one(patient: AsyncPostStack, email: Any, inbox: Any) -> None:
    """Two 500s are healed by the SDK's own retries, and one message is the result."""
    await patient.emails.send(email | {"to": [ADDRESS["flaky"]]})
    assert len(await inbox()) == 1


async def test_sdk_waits_for_the_throttled_one(
    patient: AsyncPostStack, email: Any, inbox: Any
) -> None:
    """The SDK honours Retry-After: 1 and is accepted on the second attempt."""
    start = time.monotonic()
    await patient.emails.send(email | {"to": [ADDRESS["throttled"]]})
    assert time.monotonic() - start >= 1
    assert len(await inbox()) == 1


@pytest.mark.parametrize("name", ["quota", "suppressed", "forbidden"])
async def test_sdk_does_not_retry_the_permanent_ones(
    patient: AsyncPostStack, email: Any, name: str
) -> None:
    """A quota or a refusal is raised at once, however many retries are allowed."""
    with respx.mock(using="httpx") as wire:  # httpcore's pool would count twice what it passes on
        asked = wire.route().pass_through()
        await refusal(patient, email | {"to": [ADDRESS[name]]})
    assert asked.call_count == 1


async def test_attempts_are_counted_per_key(
    poststack: AsyncPostStack, email: Any, inbox: Any
) -> None:
    """A job run again counts on with its key; another reason starts from the beginning."""
    flaky = email | {"to": [ADDRESS["flaky"]], "idempotency_key": "receipt:1"}
    other = flaky | {"idempotency_key": "receipt:2"}
    for body in (flaky, other, flaky, other):
        assert (await refusal(poststack, body)).status_code == 500
    accepted = await poststack.emails.send(flaky)
    again = await poststack.emails.send(flaky)
    assert again["id"] == accepted["id"]
    assert len(await inbox()) == 1


async def test_without_a_key_the_same_mail_fails_anew(
    poststack: AsyncPostStack, email: Any
) -> None:
    """Once accepted, the count starts over, so that the path can be tried again by hand."""
    flaky = email | {"to": [ADDRESS["flaky"]]}
    for _ in range(2):
        await refusal(poststack, flaky)
    await poststack.emails.send(flaky)
    assert (await refusal(poststack, flaky)).status_code == 500


async def test_timeout_keeps_its_caller_waiting_and_nobody_else(
    poststack: AsyncPostStack, email: Any, inbox: Any
) -> None:
    """The caller's own timeout ends the wait, and what nobody waits for is not accepted."""
    # A handler that went on waiting would hold up the server's end, and so this run, for a minute.
    with pytest.raises(httpx.ReadTimeout):
        await poststack.emails.send(email | {"to": [ADDRESS["timeout"]]}, timeout=0.1)
    sent = await poststack.emails.send(email)
    assert [message["id"] for message in await inbox()] == [sent["id"]]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("Down <DOWN@sandbox.poststack.dev>", 500),
        ("down+order-7@sandbox.poststack.dev", 500),
        ("down@example.com", 202),
        ("downtown@sandbox.poststack.dev", 202),
    ],
)
async def test_how_an_address_is_recognised(
    http: httpx.AsyncClient, email: Any, address: str, status: int
) -> None:
    """By local part and domain, in any case and under a display name, a +tag ignored."""
    headers = {"Authorization": "Bearer sk_test_sandbox"}
    answer = await http.post("/emails", json=email | {"to": [address]}, headers=headers)
    assert answer.status_code == status
