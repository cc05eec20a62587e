"""Webhooks arrive signed, are repeated until answered with a 2xx, and hold nobody up."""

import asyncio
import json
from typing import Any

import pytest
from httpx import Response
from poststack.resources import WebhooksResource
from respx import MockRouter, Route

from app.settings import Settings

SECRETS = "whsec_new, whsec_old"


@pytest.fixture
def receiver(router: MockRouter) -> Route:
    """A service's webhook endpoint: answers with 202, unless told otherwise."""
    return router.post(path="/webhooks").respond(202)


@pytest.fixture
async def sandbox(connect: Any, settings: Settings) -> Any:
    """A caller of a sandbox that sends its webhooks to where `receiver` is."""
    url = f"{settings.base_url()}/webhooks"
    return await connect(webhook_url=url, webhook_secret=SECRETS)


async def events(receiver: Route, count: int) -> list[Any]:
    """Wait for so many, and give them in the order of their happening."""
    async with asyncio.timeout(5):
        while receiver.call_count != count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    received = [json.loads(call.request.content) for call in receiver.calls]
    return sorted(received, key=lambda event: str(event["timestamp"]))


async def test_events_arrive_signed(sandbox: Any, receiver: Route, email: Any) -> None:
    """An event has the documented fields; the SDK verifies its raw body with either secret."""
    to = ["ada@example.com", "Bob <bounced@sandbox.poststack.dev>"]
    message = await sandbox.emails.send(email | {"to": to})
    sent, bounced = await events(receiver, 2)
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
    for call in receiver.calls:
        body, signature = call.request.content, call.request.headers["x-poststack-signature"]
        assert WebhooksResource.verify(body, signature, "whsec_new")
        assert WebhooksResource.verify(body, signature, "whsec_old")
        assert not WebhooksResource.verify(body, signature, SECRETS)
        assert not WebhooksResource.verify(body + b" ", signature, "whsec_new")


async def test_refused_webhook_is_repeated(sandbox: Any, receiver: Route, email: Any) -> None:
    """Until the answer is a 2xx the same event comes again, under the same id."""
    receiver.side_effect = [Response(status) for status in (500, 302, 202, 202)]
    await sandbox.emails.send(email)
    assert len({event["id"] for event in await events(receiver, 4)}) == 2
    await sandbox.reaches("delivered")


async def test_absent_receiver_holds_nobody_up(connect: Any, email: Any) -> None:
    """With nobody listening for webhooks, mail is accepted at once and delivered."""
    sandbox = await connect(webhook_url="http://127.0.0.1:9/", webhook_secret=SECRETS)
    async with asyncio.timeout(5):  # with all that is tried again it would be 78
        await sandbox.emails.send(email)
    await sandbox.reaches("delivered")
