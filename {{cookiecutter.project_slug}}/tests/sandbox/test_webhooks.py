"""Webhooks arrive signed, are repeated until answered with a 2xx, and hold nobody up."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from poststack import AsyncPostStack
from poststack.resources import WebhooksResource
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.main import create_sandbox
from sandbox.webhooks import Webhooks

SECRET = "whsec_new"  # noqa: S105  of these tests only


@dataclass
class Receiver:
    """A service's webhook endpoint: keeps what comes, answers the given statuses in turn."""

    statuses: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Receive one webhook."""
        request = Request(scope, receive)
        body = await request.body()
        self.signatures.append(request.headers["x-poststack-signature"])
        self.bodies.append(body)
        status = self.statuses.pop(0) if self.statuses else 202
        await Response(status_code=status)(scope, receive, send)

    @property
    def events(self) -> list[Any]:
        """What has come, in the order of its happening."""
        events = [json.loads(body) for body in self.bodies]
        return sorted(events, key=lambda event: str(event["timestamp"]))


@pytest.fixture
def receiver() -> Receiver:
    """Answers every webhook with 202, unless told otherwise."""
    return Receiver()


@pytest.fixture
def url(serve: Callable[[ASGIApp], str], receiver: Receiver) -> str:
    """A sandbox that sends its webhooks to `receiver`."""
    webhook_url = f"{serve(receiver)}/webhooks/poststack"
    return serve(create_sandbox(webhook_url=webhook_url, webhook_secret=SECRET))


async def send(url: str, email: Any) -> str:
    """Send one email to the sandbox at `url`."""
    async with AsyncPostStack("sk_test_sandbox", base_url=url) as poststack:
        return str((await poststack.emails.send(email))["id"])


async def test_events_arrive_signed(url: str, receiver: Receiver, email: Any, until: Any) -> None:
    """Each event is {id, type, timestamp, data}, and the SDK verifies its raw body."""
    email_id = await send(url, email)

    async def both() -> bool:
        return len(receiver.bodies) == 2

    await until(both)
    first, second = receiver.events
    assert [first["type"], second["type"]] == ["email.sent", "email.delivered"]
    assert first["id"] != second["id"]
    assert set(first) == {"id", "type", "timestamp", "data"}
    assert second["data"] == {
        "email_id": email_id,
        "from": email["from"],
        "to": email["to"],
        "recipient": "ada@example.com",
        "subject": email["subject"],
        "tags": [],
    }
    for body, signature in zip(receiver.bodies, receiver.signatures, strict=True):
        assert WebhooksResource.verify(body, signature, SECRET)
        assert not WebhooksResource.verify(body + b" ", signature, SECRET)
        assert not WebhooksResource.verify(body, signature, "whsec_other")


@pytest.mark.parametrize("name", ["bounced", "complained"])
async def test_bad_news_arrives(
    url: str, receiver: Receiver, email: Any, until: Any, name: str
) -> None:
    """A bounce says that it is hard, and bad news say which of the recipients they are about."""
    address = f"{name}@sandbox.poststack.dev"
    await send(url, email | {"to": ["ada@example.com", f"Them <{address}>"]})

    async def last() -> Any:
        return [event for event in receiver.events if event["type"] == f"email.{name}"]

    (event,) = await until(last)
    assert event["data"]["recipient"] == address
    assert event["data"].get("bounce_type") == ("hard" if name == "bounced" else None)


async def test_refused_webhook_is_repeated(
    url: str, receiver: Receiver, email: Any, inbox: Any, until: Any
) -> None:
    """Until the answer is a 2xx the same event comes again, under the same id."""
    receiver.statuses = [500, 302]
    await send(url, email)

    async def four() -> bool:
        return len(receiver.bodies) == 4

    await until(four)
    assert len({event["id"] for event in receiver.events}) == 2
    assert (await inbox(url))[0]["status"] == "delivered"


async def test_absent_receiver_holds_nobody_up(
    serve: Any, email: Any, inbox: Any, until: Any
) -> None:
    """With nobody listening for webhooks, mail is accepted at once and delivered."""
    url = serve(create_sandbox(webhook_url="http://127.0.0.1:9/", webhook_secret=SECRET))
    start = time.monotonic()
    await send(url, email)
    assert time.monotonic() - start < 5  # with all that is tried again it would be 78

    async def delivered() -> bool:
        return bool((await inbox(url))[0]["status"] == "delivered")

    await until(delivered)


def test_both_secrets_sign_during_a_rotation() -> None:
    """A receiver with either secret verifies; one with neither does not."""
    header = Webhooks("http://localhost/", "whsec_new, whsec_old").sign(b"{}")
    assert WebhooksResource.verify(b"{}", header, "whsec_new")
    assert WebhooksResource.verify(b"{}", header, "whsec_old")
    assert not WebhooksResource.verify(b"{}", header, "whsec_older")


def test_blank_secret_is_refused() -> None:
    """A secret of nothing but separators would sign nothing."""
    with pytest.raises(ValueError, match="webhook_secret"):
        create_sandbox(webhook_url="http://localhost/", webhook_secret=" , ")  # noqa: S106  deliberately none
