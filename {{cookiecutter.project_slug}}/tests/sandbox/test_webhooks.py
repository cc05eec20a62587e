"""Webhooks arrive signed, are repeated until answered with a 2xx, and hold nobody up."""

import asyncio
import json
from typing import Any

import pytest
from poststack.resources import WebhooksResource
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

SECRETS = "whsec_new, whsec_old"


class Receiver:
    """A service's webhook endpoint: keeps what comes, answers the given statuses in turn."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.received: list[tuple[bytes, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Receive one webhook."""
        request = Request(scope, receive)
        signature = request.headers["x-poststack-signature"]
        self.received.append((await request.body(), signature))
        status = self.statuses.pop(0) if self.statuses else 202
        await Response(status_code=status)(scope, receive, send)

    async def events(self, count: int) -> list[Any]:
        """Wait for so many, and give them in the order of their happening."""
        async with asyncio.timeout(5):
            while True:
                events = [json.loads(body) for body, _ in self.received]
                if len(events) == count:
                    return sorted(events, key=lambda event: str(event["timestamp"]))
                await asyncio.sleep(0.01)


@pytest.fixture
def receiver() -> Receiver:
    """Answers every webhook with 202, unless told otherwise."""
    return Receiver()


@pytest.fixture
async def sandbox(serve: Any, connect: Any, receiver: Receiver) -> Any:
    """A caller of a sandbox that sends its webhooks to `receiver`."""
    return await connect(webhook_url=serve(receiver), webhook_secret=SECRETS)


async def test_events_arrive_signed(sandbox: Any, receiver: Receiver, email: Any) -> None:
    """An event has the documented fields; the SDK verifies its raw body with either secret."""
    to = ["ada@example.com", "Bob <bounced@sandbox.poststack.dev>"]
    message = await sandbox.emails.send(email | {"to": to})
    sent, bounced = await receiver.events(2)
    assert set(sent) == {"id", "type", "timestamp", "data"}
    assert (sent["type"], bounced["type"]) == ("email.sent", "email.bounced")
    assert sent["id"] != bounced["id"]
    assert sent["timestamp"] < bounced["timestamp"]
    assert sent["data"] == {
        "email_id": message["id"],
        "from": email["from"],
        "to": to,
        "recipient": "bounced@sandbox.poststack.dev",
        "subject": email["subject"],
        "tags": [],
    }
    assert bounced["data"] == sent["data"] | {"bounce_type": "hard"}
    for body, signature in receiver.received:
        assert WebhooksResource.verify(body, signature, "whsec_new")
        assert WebhooksResource.verify(body, signature, "whsec_old")
        assert not WebhooksResource.verify(body, signature, SECRETS)
        assert not WebhooksResource.verify(body + b" ", signature, "whsec_new")


async def test_refused_webhook_is_repeated(sandbox: Any, receiver: Receiver, email: Any) -> None:
    """Until the answer is a 2xx the same event comes again, under the same id."""
    receiver.statuses = [500, 302]
    await sandbox.emails.send(email)
    assert len({event["id"] for event in await receiver.events(4)}) == 2
    await sandbox.reaches("delivered")


async def test_absent_receiver_holds_nobody_up(connect: Any, email: Any) -> None:
    """With nobody listening for webhooks, mail is accepted at once and delivered."""
    sandbox = await connect(webhook_url="http://127.0.0.1:9/", webhook_secret=SECRETS)
    async with asyncio.timeout(5):  # with all that is tried again it would be 78
        await sandbox.emails.send(email)
    await sandbox.reaches("delivered")
