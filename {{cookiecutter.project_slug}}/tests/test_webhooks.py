"""PostStack's webhooks, as they arrive on the wire, and what follows from them."""

import asyncio
import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest
import respx
from fastapi import FastAPI
from prometheus_client import REGISTRY

from app.dispatch import DispatchSettings
from app.main import create_app
from tests.conftest import AUTHORIZED, Logged
from tests.test_roads import ORDER, SIGNUP

SECRET = "whsec_of_the_tests"  # noqa: S105  of these tests only
ROADS = {"/signup": SIGNUP, "/notify": SIGNUP, "/receipts": ORDER}


def webhook(kind: str = "bounced", **data: Any) -> dict[str, Any]:
    """Make the JSON of a webhook about a message to Ada."""
    email = {"email_id": "em_1", "to": ["ada@example.com"], "recipient": "ada@example.com"}
    return {
        "id": f"evt_{kind}",
        "type": f"email.{kind}",
        "timestamp": "2026-02-03T04:05:06.789Z",
        "data": email | data,
    }


def sign(body: bytes, secret: str = SECRET) -> str:
    """Sign as PostStack documents it."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


async def post(
    service: httpx.AsyncClient, content: Any, signature: str | None = None
) -> httpx.Response:
    """Post a webhook; with the right signature, unless another one is given."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers = {
        "Content-Type": "application/json",
        "X-PostStack-Signature": sign(body) if signature is None else signature,
    }
    return await service.post("/webhooks/poststack", content=body, headers=headers)


async def history(service: httpx.AsyncClient, email_id: str = "em_1") -> list[dict[str, str]]:
    """Ask the service what happened to a message."""
    answer = await service.get(f"/events/{email_id}")
    assert answer.status_code == 200
    events: list[dict[str, str]] = answer.json()["events"]
    return events


async def test_stored(service: httpx.AsyncClient) -> None:
    """A signed event is answered 202 without a word, and is found by the id of its message."""
    answer = await post(service, webhook("delivered"))

    assert (answer.status_code, answer.content) == (202, b"")
    assert await history(service) == [{"type": "delivered", "time": "2026-02-03T04:05:06.789000Z"}]
    assert await history(service, "em_2") == []


async def test_order(service: httpx.AsyncClient) -> None:
    """Webhooks that overtake each other are told in the order of what happened."""
    await post(service, webhook("complained") | {"timestamp": "2026-02-03T04:05:08+02:00"})
    await post(service, webhook("delivered") | {"timestamp": "2026-02-03T02:05:07Z"})

    assert [event["type"] for event in await history(service)] == ["delivered", "complained"]


async def test_raw_body(service: httpx.AsyncClient) -> None:
    """The signature is over the bytes: any spelling of the JSON will do, if it was signed so."""
    body = json.dumps(webhook("delivered")).encode()
    other = json.dumps(webhook("delivered"), indent=1, sort_keys=True).encode()

    assert (await post(service, other, sign(body))).status_code == 401
    assert await history(service) == []
    assert (await post(service, other)).status_code == 202
    assert len(await history(service)) == 1


@pytest.mark.parametrize(
    "template", ["{old},{ours}", "{ours},{old}", "v9=ff, {ours}", "sha256=zz,{ours}"]
)
async def test_rotation(template: str, service: httpx.AsyncClient) -> None:
    """While a secret is rotated one of two signatures is ours, whichever it is."""
    body = json.dumps(webhook()).encode()
    signature = template.format(ours=sign(body), old=sign(body, "whsec_old"))

    assert (await post(service, body, signature)).status_code == 202
    assert len(await history(service)) == 1


async def test_two_headers(service: httpx.AsyncClient) -> None:
    """Two signatures may come as two headers, which HTTP holds to be the same."""
    body = json.dumps(webhook()).encode()
    signatures = (sign(body, "whsec_old"), sign(body))
    headers = [("X-PostStack-Signature", signature) for signature in signatures]

    answer = await service.post("/webhooks/poststack", content=body, headers=headers)
    assert answer.status_code == 202


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "sha256=",
        "sha256",
        "{good}00",
        "sha1={good}",
        "sha256=\xff",
        "{empty}",
        "{other}",
        "{tampered}",
    ],
)
async def test_refused(
    signature: str, service: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the signature of our secret over this body: 401, a line in the log, no event."""
    body = json.dumps(webhook()).encode()
    signatures = {
        "good": sign(body),
        "empty": sign(body, ""),
        "other": sign(body, "whsec_other"),
        "tampered": sign(body.replace(b"ada@", b"eve@")),
    }

    answer = await post(service, body, signature.format(**signatures).encode("latin-1"))  # type: ignore[arg-type]  # httpx sends bytes as they are

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "X-PostStack-Signature"
    assert answer.headers["content-type"] == "application/problem+json"
    assert SECRET not in answer.text
    assert "Webhook refused" in caplog.text
    assert await history(service) == []


async def test_unsigned(service: httpx.AsyncClient) -> None:
    """A request without the header is refused like one with a wrong signature."""
    assert (await service.post("/webhooks/poststack", json=webhook())).status_code == 401


async def test_repeats(service: httpx.AsyncClient) -> None:
    """The same event id is one event, however often it comes, and though it be at once."""
    answers = await asyncio.gather(*(post(service, webhook()) for _ in range(5)))

    assert {answer.status_code for answer in answers} == {202}
    assert len(await history(service)) == 1


@pytest.mark.parametrize(
    "content",
    [
        webhook("opened"),
        webhook("teleported"),
        {"id": "evt_1", "type": "domain.verified", "timestamp": "2026-01-01T00:00:00Z", "data": {}},
    ],
)
async def test_other_types(content: Any, service: httpx.AsyncClient, wire: respx.Route) -> None:
    """Types that we do not store, or that are not yet invented, are taken and do nothing."""
    assert (await post(service, content)).status_code == 202
    assert await history(service) == []
    assert (await service.post("/signup", json=SIGNUP)).status_code == 201
    assert wire.called


async def test_unknown_fields(service: httpx.AsyncClient) -> None:
    """Fields that PostStack adds later change nothing."""
    content = webhook("delivered", mx={"host": "mx.example.com"}) | {"version": 2}
    assert (await post(service, content)).status_code == 202
    assert len(await history(service)) == 1


async def test_second_names(service: httpx.AsyncClient, wire: respx.Route) -> None:
    """`data` may use the names of the REST API, and name its one recipient in `to`."""
    data = {"emailId": "em_1", "to": ["ada@example.com"], "bounceType": "hard"}
    await post(service, webhook() | {"data": data})

    assert [event["type"] for event in await history(service)] == ["bounced"]
    assert (await service.post("/notify", json=SIGNUP)).status_code == 422
    assert not wire.called


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"\xff\xfe", "body"),
        (b"[]", "body"),
        (webhook() | {"id": ""}, "body.id"),
        (webhook() | {"timestamp": "yesterday"}, "body.timestamp"),
        (webhook() | {"data": None}, "body.data"),
        (webhook(email_id=None), "body.email_id"),
        (webhook(recipient=["a@example.com", "b@example.com"]), "body.recipient"),
    ],
)
async def test_malformed(
    content: Any, field: str, service: httpx.AsyncClient, logged: Logged
) -> None:
    """What PostStack signed and we cannot read is a 422 that names the field, and so is a line."""
    answer = await post(service, content)

    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]
    [line] = [line["message"] for line in logged() if line["level"] == "ERROR"]
    assert line.endswith(f"not stored; see ['{field}']")


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize(
    "news",
    [("bounced", "hard_bounce"), ("complained", "complaint"), ("unsubscribed", "unsubscribe")],
)
async def test_suppressed(
    road: str,
    news: tuple[str, str],
    service: httpx.AsyncClient,
    wire: respx.Route,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No road leads to a suppressed address: a line without it, a count, no call, and 422.

    But at `/signup` a stranger asks, who must not learn that we know the address.
    """
    kind, reason = news
    skipped = REGISTRY.get_sample_value("mail_skipped_total") or 0
    await post(service, webhook(kind, recipient="Ada@Example.com"))

    answer = await service.post(road, json=ROADS[road])

    if road == "/signup":
        assert (answer.status_code, answer.json()) == (201, {"email_id": "em_1"})
    else:
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
    assert not wire.called
    assert f"not sent, recipient suppressed: {reason}" in caplog.text
    assert "ada@example.com" not in caplog.text.lower()
    assert REGISTRY.get_sample_value("mail_skipped_total") == skipped + 1


async def test_last_mail(service: httpx.AsyncClient) -> None:
    """The last mail before an address was suppressed is the last by PostStack's clock."""
    last = webhook("unsubscribed", email_id="em_last") | {"timestamp": "2026-03-01T00:30:00+02:00"}
    await post(service, last)
    first = webhook("bounced", bounce_type=None, email_id="em_first")
    await post(service, first | {"timestamp": "2026-02-28T22:00:00Z"})

    assert (await service.post("/signup", json=SIGNUP)).json() == {"email_id": "em_last"}


@pytest.mark.parametrize(
    "content",
    [
        webhook("delivered"),
        webhook("soft_bounced"),
        webhook("bounced", bounce_type="soft"),
        webhook("bounced", recipient="eve@example.com"),
    ],
)
async def test_not_suppressed(content: Any, service: httpx.AsyncClient, wire: respx.Route) -> None:
    """Good news, soft bounces and the bounces of others leave an address alone."""
    await post(service, content)

    for road in ("/signup", "/notify"):  # the third may lead to a queue
        assert (await service.post(road, json=SIGNUP)).is_success
    assert wire.call_count == 2
    assert len(await history(service)) == 1


async def test_letters_of_any_script(service: httpx.AsyncClient, wire: respx.Route) -> None:
    """An address is the same in capitals, ASCII or not."""
    await post(service, webhook(recipient="ZOË@example.com"))

    signup = SIGNUP | {"email": "zoë@example.com"}
    assert (await service.post("/notify", json=signup)).status_code == 422
    assert not wire.called


async def test_restart(
    service: httpx.AsyncClient, settings: DispatchSettings, wire: respx.Route
) -> None:
    """Suppressions and events outlive the process, and reach its neighbours."""
    await post(service, webhook())

    neighbour: FastAPI = create_app(settings)
    async with (
        neighbour.router.lifespan_context(neighbour),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(neighbour),
            base_url="http://neighbour",
            headers=AUTHORIZED,
        ) as client,
    ):
        assert (await client.post("/notify", json=SIGNUP)).status_code == 422
        assert len(await history(client)) == 1
    assert not wire.called


async def test_log_names_no_address(service: httpx.AsyncClient, logged: Logged) -> None:
    """An event is logged once, by the id of its message."""
    for kind in ("delivered", "bounced", "bounced"):
        await post(service, webhook(kind))

    lines = [line for line in logged() if line["logger"] == "app.webhooks"]
    assert [(line["email_id"], line["message"]) for line in lines] == [
        ("em_1", "delivered"),
        ("em_1", "bounced, recipient suppressed: hard_bounce"),
    ]
