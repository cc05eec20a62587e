"""PostStack's webhooks, as they arrive on the wire, and what follows from them."""

import asyncio
import json
from typing import Any, get_args

import pytest
from fastapi import FastAPI
from httpx import AsyncClient, Response

from app.application import create_app
from app.mail.events import EventType
from app.mail.message import utc_now
from app.settings import Settings
from tests.service import JSON, Logged, Sent, open_client, problem, router, sign, webhook

SECRET = "whsec_of_the_tests"  # noqa: S105  of these tests only


async def post(service: AsyncClient, content: Any, *signatures: str | bytes) -> Response:
    """Post a webhook; with the right signature, unless others are given."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers: Any = [("X-PostStack-Signature", each) for each in signatures or [sign(body, SECRET)]]
    return await service.post("/webhooks/poststack", content=body, headers=headers)


async def events(service: AsyncClient, email_id: str = "em_1") -> list[str]:
    """List the types of a message's events."""
    answer = await service.get(f"/emails/{email_id}")
    assert answer.status_code in {200, 404}
    return [event["type"] for event in answer.json().get("events", [])]


async def test_stored(service: AsyncClient, logged: Logged) -> None:
    """Events are answered without a word, stored once, listed in order, logged without an address.

    PostStack may repeat itself, even at once, and events may overtake each other.
    """
    second = webhook("complained") | {"timestamp": "2026-02-03T04:05:08+02:00"}
    first = webhook("delivered") | {"timestamp": "2026-02-03T02:05:07.5Z"}
    answers = await asyncio.gather(*(post(service, second) for _ in range(5)))
    answers.append(await post(service, first))

    assert {(answer.status_code, answer.content) for answer in answers} == {(202, b"")}
    assert (await service.get("/emails/em_1")).json()["events"] == [
        {"type": "delivered", "time": "2026-02-03T02:05:07.500000Z"},
        {"type": "complained", "time": "2026-02-03T02:05:08Z"},
    ]
    assert await events(service, "em_2") == []
    assert [(line["email_id"], line["message"]) for line in logged()] == [
        ("em_1", "complained, recipient suppressed: complaint"),
        ("em_1", "delivered"),
    ]


async def test_rotation(service: AsyncClient) -> None:
    """While a secret is rotated one of the signatures is ours, in one header or two."""
    # Any spelling of the JSON will do: the signature is over the bytes.
    body = json.dumps(webhook(), indent=1, sort_keys=True).encode()
    ours, old = sign(body, SECRET), sign(body, "whsec_old")

    for signatures in ([f"{old},{ours}"], [f"{ours},{old}"], ["v9=ff", ours], [ours, old]):
        assert (await post(service, body, *signatures)).status_code == 202
    assert await events(service) == ["bounced"]


@pytest.mark.parametrize(
    "signature", ["", "{good}00", "sha1={good}", "sha256=\xff", "{empty}", "{other}", "{tampered}"]
)
async def test_refused(signature: str, service: AsyncClient, logged: Logged) -> None:
    """Without the signature of our secret over this body: 401, a line in the log, no event."""
    body = json.dumps(webhook()).encode()
    signatures = {
        "good": sign(body, SECRET),
        "empty": sign(body, ""),
        "other": sign(body, "whsec_other"),
        "tampered": sign(body.replace(b"ada@", b"eve@"), SECRET),
    }

    answer = await post(service, body, signature.format(**signatures).encode("latin-1"))

    assert problem(answer) == (401, "")
    assert answer.headers["www-authenticate"] == "X-PostStack-Signature"
    assert SECRET not in answer.text
    [line] = logged()
    assert line["message"].startswith("Webhook refused")
    assert await events(service) == []
    assert (await service.post("/webhooks/poststack", content=body)).status_code == 401


async def test_other_webhooks(service: AsyncClient) -> None:
    """Types not yet invented do nothing; `data` may use the REST API's names, and grow."""
    data = {"emailId": "em_1", "to": ["ada@example.com"], "bounceType": "soft", "mx": {"a": 1}}
    for content in (
        webhook() | {"type": "domain.verified", "data": {}},
        webhook("opened"),
        webhook() | {"data": data, "version": 2},
    ):
        assert (await post(service, content)).status_code == 202

    assert await events(service) == ["soft_bounced"]


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"", "body"),
        (b"\xff\xfe", "body"),
        (webhook() | {"id": ""}, "body.id"),
        (webhook() | {"timestamp": 1770000000}, "body.timestamp"),
        (webhook() | {"data": None}, "body.data"),
        (webhook(email_id=None), "body.email_id"),
        (webhook(recipient=["a@example.com", "b@example.com"]), "body.recipient"),
        (webhook() | {"timestamp": "0001-01-01T00:00:00+02:00"}, "body.timestamp"),
        (webhook() | {"timestamp": "9999-12-31T23:59:59-02:00"}, "body.timestamp"),
        (webhook(recipient="ada"), "body.recipient"),
        (webhook(recipient="ada@example.com\0"), "body.recipient"),
    ],
)
async def test_malformed(
    content: Any, field: str, app: FastAPI, service: AsyncClient, logged: Logged
) -> None:
    """What PostStack signed and we cannot read is a 422 that names the field, and so is a line."""
    answer = await post(service, content)

    assert problem(answer) == (422, "")
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]
    [line] = logged()
    assert line["level"] == "ERROR"
    assert line["message"].endswith(f"not stored; see ['{field}']")
    assert await events(service) == []
    assert await app.state.suppressions.list() == []


@pytest.mark.usefixtures("wire")
async def test_suppression(service: AsyncClient, settings: Settings, body: JSON) -> None:
    """A hard bounce, a complaint or an unsubscription suppresses this address, in each process."""
    for kind in get_args(EventType):
        await post(service, webhook(kind, recipient=f"{kind}@Example.com"))
    soft = webhook(bounce_type="soft", recipient="soft@example.com") | {"id": "evt_soft"}
    await post(service, soft)

    refused = set()
    neighbour = create_app(settings)
    neighbour.include_router(router)
    async with open_client(neighbour) as client:
        assert await events(client) == await events(service)
        for name in (*get_args(EventType), "soft", "ada"):
            mail = body | {"recipient": f"{name}@example.com"}
            if (await client.post("/send", json=mail)).status_code == 422:
                refused.add(name)
    assert refused == {"bounced", "complained", "unsubscribed"}


@pytest.mark.parametrize(
    "recipient",
    [
        "ada@münchen.de",
        "ADA@XN--MNCHEN-3YA.DE",
        "Ada <ada@münchen.de>",
        " ada@mu\u0308nchen.de",
        ["ada@MÜNCHEN.de."],
    ],
)
async def test_spellings(recipient: Any, service: AsyncClient, body: JSON, sent: Sent) -> None:
    """A bounce suppresses the mailbox, however its address is written there and here."""
    await post(service, webhook(recipient=recipient))
    for spelling in ("ada@münchen.de", "Ada@xn--mnchen-3ya.de"):
        answer = await service.post("/send", json=body | {"recipient": spelling})
        assert problem(answer) == (422, "")
    assert sent() == []


@pytest.mark.parametrize("kind", ["bounced", "complained", "unsubscribed"])
async def test_replay(kind: str, app: FastAPI, service: AsyncClient) -> None:
    """What PostStack says again, after the address was taken off, is over; what is new is not."""
    suppressions = app.state.suppressions
    await post(service, webhook(kind))
    assert await suppressions.remove("Ada <ada@example.com>")
    other = webhook(kind) | {"id": "evt_other"}
    for old in (webhook(kind), other):
        assert (await post(service, old)).status_code == 202
        assert await suppressions.find("ada@example.com") is None

    new = webhook(kind) | {"id": "evt_new", "timestamp": utc_now().isoformat()}
    await post(service, new)
    assert await suppressions.find("ada@example.com")
