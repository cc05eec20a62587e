"""Secrets and personal data stay out of logs, errors and reprs, whatever goes wrong."""

import json
import traceback
from base64 import b64encode

import pytest
from fastapi import FastAPI
from httpx import AsyncClient, Response
from pydantic import SecretStr, ValidationError
from respx import MockRouter, Route

from app.mail.client import open_poststack
from app.mail.errors import TransientError
from app.mail.events import Event
from app.mail.message import Email, Message
from app.mail.sender import send
from app.settings import Settings
from tests.service import JSON, Logged, sign, webhook

# Each begins with the same letters, so that half of one is found, too.
MARK = "planted"
RECIPIENT = f"{MARK}-recipient@example.com"
SUBJECT = f"{MARK}-subject"
KEY = f"{MARK}-key-8ff2c4a1d09b4e5fb67d3c1aa2e6"
LATER = {"Retry-After": "61"}  # later than the SDK waits for

ANSWERS = [
    Response(202, json={"to": RECIPIENT}),
    Response(400, json={"error": f"to: {RECIPIENT.upper()} is no address", "code": "no"}),
    Response(401, json={"error": f"sk_{MARK} is unknown", "code": "unauthorized"}),
    Response(422, json={"error": f'subject: "{SUBJECT.upper()}" is too long', "code": "no"}),
    Response(500, json={"error": f"<{RECIPIENT}>: sk_{MARK}"}, headers=LATER),
    Response(503, text=f"<html>{RECIPIENT}</html>", headers=LATER),
]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with a secret in each place for one."""
    planted = {
        "poststack_api_key": SecretStr(f"sk_{MARK}"),
        "poststack_webhook_secret": SecretStr(f"whsec_{MARK}"),
        "api_keys": SecretStr(KEY),
    }
    return settings.model_copy(update=planted)


@pytest.fixture
def body(body: JSON) -> JSON:
    """The body of a mail that is personal in every field."""
    return body | {"recipient": RECIPIENT, "subject": SUBJECT, "html": MARK, "text": MARK}


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.status_code)
async def test_planted(
    answer: Response, service: AsyncClient, *, body: JSON, wire: Route, logged: Logged
) -> None:
    """Whatever PostStack answers, what was planted is in no answer of ours and no line of a log."""
    wire.mock(return_value=answer)
    service.headers["Authorization"] = f"Bearer {KEY}"
    bounce = json.dumps(webhook(recipient=RECIPIENT)).encode()
    two = json.dumps(webhook(recipient=[RECIPIENT, RECIPIENT])).encode()  # are invalid

    async def post_webhook(content: bytes, signed: bytes) -> Response:
        headers = {"X-PostStack-Signature": sign(signed, f"whsec_{MARK}")}
        return await service.post("/webhooks/poststack", content=content, headers=headers)

    answers = [
        await service.post("/send", json=body),
        await service.post("/send", json=body | {"recipient": f"{MARK} is no address"}),
        await service.post("/send", json=body | {"extra": MARK}),
        await service.post("/send", content=MARK, headers={"Content-Type": "application/json"}),
        await service.post("/send-in-background", json=body),
        await service.post("/send", json=body, headers={"Authorization": f"Bearer {MARK}-wrong"}),
        await service.get(f"/{MARK}?{MARK}={MARK}"),
        await post_webhook(bounce + b" ", bounce),
        await post_webhook(two, two),
        await post_webhook(bounce, bounce),
        await service.post("/enqueue", json=body),  # suppressed by now
        *[await service.get(path) for path in ("/emails/em_1", "/metrics", "/readyz", "/docs")],
        *[await service.get(path) for path in ("/", "/openapi.json")],
    ]

    assert {401, 404, 422} <= {answer.status_code for answer in answers}
    for found in answers:
        assert MARK not in f"{found.text} {found.headers}".lower()
    assert wire.called
    log = str(logged()).lower()
    assert "'bounced, recipient suppressed" in log
    assert MARK not in log


@pytest.mark.parametrize("status", [407, 200])
async def test_proxy(
    status: int,
    settings: Settings,
    router: MockRouter,
    *,
    message: Message,
    logged: Logged,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The password of a proxy that refuses, or breaks TLS, is in no line of a log and no error."""
    password = f"{MARK}-user:{MARK}-password"
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("https_proxy", settings.base_url().replace("//", f"//{password}@"))
    elsewhere = settings.model_copy(update={"poststack_base_url": "https://api.poststack.test"})
    router.route(method="CONNECT").respond(status)

    async with open_poststack(elsewhere, max_retries=0) as poststack:
        with pytest.raises(TransientError) as error:
            await send(poststack, message)

    told = "".join(traceback.format_exception(error.value)) + str(logged())
    assert "PostStack not reached" in told
    assert MARK not in told
    assert b64encode(password.encode()).decode() not in told
    assert router.calls.call_count == 1


async def test_reprs(settings: Settings, app: FastAPI, body: JSON) -> None:
    """What a debugger, a log or an error report may print of our objects has nothing of them."""
    message = Message.model_validate(body)
    email = Email(template="x", recipient=RECIPIENT, idempotency_key="x", context={"name": MARK})
    event = Event(
        id="1", type="bounced", email_id="1", recipient=RECIPIENT, time=message.created_at
    )
    async with open_poststack(settings) as poststack:
        for thing in (settings, message, email, event, poststack, app):
            assert MARK not in f"{thing!r} {thing}".lower()
    with pytest.raises(ValidationError) as error:
        Message.model_validate(body | {"recipient": MARK})
    assert MARK not in str(error.value)
