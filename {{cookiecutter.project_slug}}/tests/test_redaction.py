"""Secrets and personal data stay out of logs, errors and reprs, whatever goes wrong."""

import asyncio
import json
import logging
import socket
import traceback
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import respx
from fastapi import FastAPI
from pydantic import SecretStr, ValidationError

from app.api.signup import Signup
from app.client import open_poststack
from app.delivery import TemporaryError, send
from app.dispatch import DispatchSettings
from app.emails import receipt
from app.events import Event
from app.logs import JSONFormatter
from app.messages import Message
from app.orders import Order
from app.users import User
from tests.test_webhooks import post as post_webhook
from tests.test_webhooks import sign

# Each begins with the same letters, so that half of one is found, too.
MARK = "planted"
RECIPIENT = f"{MARK}-recipient@example.com"
PERSON = {"email": RECIPIENT, "name": f"{MARK}-name"}
ORDER: dict[str, Any] = {
    "order_id": "1001",
    "recipient": RECIPIENT,
    "lines": [{"description": f"{MARK}-line", "amount": "7.50"}],
    "total": "7.50",
}
KEY = f"{MARK}-key-8ff2c4a1d09b4e5fb67d3c1aa2e6"
EVENT = {
    "id": "evt_1",
    "type": "email.bounced",
    "timestamp": "2026-02-03T04:05:06Z",
    "data": {"email_id": "em_1", "recipient": RECIPIENT},
}


def echo_subject(request: httpx.Request) -> httpx.Response:
    """Be a PostStack that quotes what it does not like."""
    subject = json.loads(request.content)["subject"]
    return httpx.Response(422, json={"error": f'subject: "{subject}" is too long', "code": "no"})


LATER = {"Retry-After": "61"}  # later than the SDK waits for
ANSWERS: list[httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]] = [
    httpx.Response(202, json={"id": "em_1"}),
    httpx.Response(202, json={"to": RECIPIENT}),
    httpx.Response(202, text=RECIPIENT),
    httpx.Response(400, json={"error": f"to: {RECIPIENT.upper()} is no address", "code": "no"}),
    httpx.Response(401, json={"error": f"sk_{MARK} is unknown", "code": "unauthorized"}),
    httpx.Response(422, json={"error": f"{RECIPIENT} is suppressed", "code": "no"}),
    echo_subject,
    httpx.Response(422, json={"error": f"idempotency: {RECIPIENT}", "code": "no"}),
    httpx.Response(429, json={"error": f"too many for {RECIPIENT}", "code": "quota_exceeded"}),
    httpx.Response(500, json={"error": f"<{RECIPIENT}>: sk_{MARK}"}, headers=LATER),
    httpx.Response(503, text=f"<html>{RECIPIENT}</html>", headers=LATER),
    httpx.ReadError("cut off"),
]


@pytest.fixture
def settings(settings: DispatchSettings) -> DispatchSettings:
    """Settings with a secret in each place for one."""
    planted = {
        "poststack_api_key": SecretStr(f"sk_{MARK}"),
        "poststack_webhook_secret": SecretStr(f"whsec_{MARK}"),
        "api_keys": SecretStr(KEY),
        "client_signups_per_minute": 5,
    }
    return settings.model_copy(update=planted)


@pytest.fixture
def log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> pytest.LogCaptureFixture:
    """All that the service and its libraries say, with every field, at the levels of `app.logs`."""
    monkeypatch.setattr(caplog.handler, "formatter", JSONFormatter())
    caplog.set_level(logging.INFO, "app")
    caplog.set_level(logging.WARNING, "")
    return caplog


async def requests(service: httpx.AsyncClient) -> list[httpx.Response]:
    """Drive every route, with good and bad requests."""
    authorized = {"Authorization": f"Bearer {KEY}"}
    wrong = {"Authorization": f"Bearer {MARK}-wrong"}
    body = json.dumps(EVENT).encode()
    return [
        *[await service.post("/signup", json=PERSON) for _ in range(2)],
        await service.post("/signup", json=PERSON | {"email": f"{MARK} is no address"}),
        await service.post("/signup", json=PERSON | {"name": [MARK]}),
        await service.post("/signup", content=MARK, headers={"Content-Type": "application/json"}),
        await service.post("/notify", json=PERSON, headers=authorized),
        await service.post("/notify", json=PERSON | {"name": f"{MARK}\0"}, headers=authorized),
        await service.post("/receipts", json=ORDER | {"order_id": f"{MARK}!"}, headers=authorized),
        await service.post("/receipts", json=ORDER | {"total": MARK}, headers=authorized),
        await service.post("/receipts", json=ORDER, headers=wrong),
        await service.get("/metrics", headers=authorized),
        await service.get("/metrics", headers=wrong),
        await service.get(f"/{MARK}?{MARK}={MARK}"),
        await post_webhook(service, EVENT, f"sha256={MARK}"),
        await post_webhook(service, body + b" ", sign(body, f"whsec_{MARK}")),
        await post_webhook(service, b"{", sign(b"{", f"whsec_{MARK}")),
        await post_webhook(service, body, sign(body, f"whsec_{MARK}")),
        await service.get("/events/em_1", headers=authorized),
        await service.get("/readyz"),
        await service.post("/notify", json=PERSON, headers=authorized),  # suppressed by now
        *[await service.post("/signup", json=PERSON) for _ in range(5)],
        await service.get("/"),
        await service.get("/docs"),
        await service.get("/openapi.json"),
    ]


@pytest.mark.parametrize("answer", ANSWERS, ids=map(str, range(len(ANSWERS))))
async def test_planted(
    answer: httpx.Response | Exception | Callable[[httpx.Request], httpx.Response],
    service: httpx.AsyncClient,
    wire: respx.Route,
    log: pytest.LogCaptureFixture,
) -> None:
    """Whatever PostStack answers, what was planted is in no answer of ours and no line of a log."""
    if isinstance(answer, httpx.Response):
        wire.mock(return_value=answer)
    else:
        wire.mock(side_effect=answer)

    answers = await requests(service)

    assert {401, 404, 422, 429} <= {answer.status_code for answer in answers}
    for found in answers:
        assert MARK not in f"{found.text} {found.headers}".lower()
    assert wire.called
    [bounce] = [json.loads(line) for line in log.text.splitlines() if '"bounced,' in line]
    assert bounce["email_id"] == "em_1"
    assert MARK not in log.text.lower()


PROXY_ANSWERS = [
    b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 200 Connection established\r\n\r\nno TLS",
    b"",
]


@pytest.mark.parametrize("answer", PROXY_ANSWERS, ids=["refuses", "no TLS behind it", "hangs up"])
async def test_proxy(
    answer: bytes,
    listener: socket.socket,
    settings: DispatchSettings,
    *,
    message: Message,
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The password of a proxy that fails is in no line of a log and no error."""
    port = listener.getsockname()[1]
    monkeypatch.setenv("https_proxy", f"http://{MARK}-user:{MARK}-password@127.0.0.1:{port}")
    elsewhere = settings.model_copy(update={"poststack_base_url": "https://api.poststack.test"})

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with (
        await asyncio.start_server(refuse, sock=listener),
        open_poststack(elsewhere, max_retries=0) as poststack,
    ):
        with pytest.raises(TemporaryError) as error:
            await send(poststack, message)

    told = "".join(traceback.format_exception(error.value)) + log.text
    assert "PostStack not reached" in told
    encoded = b64encode(f"{MARK}-user:{MARK}-password".encode()).decode()
    assert not [secret for secret in (MARK, encoded) if secret in told]


async def test_reprs(settings: DispatchSettings, app: FastAPI) -> None:
    """What a debugger, a log or an error report may print of our objects has nothing of them."""
    message = receipt(Order.model_validate(ORDER), settings)
    async with open_poststack(settings) as poststack:
        order, signup = Order.model_validate(ORDER), Signup.model_validate(PERSON)
        user = User("1", PERSON["email"], PERSON["name"])
        event = Event(
            id="1", type="bounced", email_id="1", recipient=RECIPIENT, time=message.accepted_at
        )
        for thing in (settings, message, order, signup, user, event, poststack, app):
            assert MARK not in f"{thing!r} {thing}".lower()
    with pytest.raises(ValidationError) as error:
        Message.model_validate(message.model_dump() | {"recipient": MARK})
    assert MARK not in str(error.value)
