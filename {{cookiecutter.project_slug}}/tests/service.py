"""The service under test: its client, routes as an owner would write them, and its problems."""

import hashlib
import hmac
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from httpx import ASGITransport, AsyncClient, Response
from prometheus_client import REGISTRY

from app.mail.events import SUPPRESSING, EventType
from app.mail.message import Message, utc_now
from app.settings import DEVELOPMENT_API_KEY
from app.web.authentication import ApiKey
from app.web.dependencies import MailerDep
from app.web.problems import problem_responses

AUTHORIZED = {"Authorization": f"Bearer {DEVELOPMENT_API_KEY}"}

JSON = dict[str, Any]

Logged = Callable[[], list[JSON]]
"""The fixture `logged`: what the service has logged so far."""

Sent = Callable[[], list[JSON]]
"""The fixture `sent`: what PostStack has received so far, oldest first."""

CONTENT = "attached words"

EVERYTHING: JSON = {
    "sender": "Acme, Inc. <hello@acme.dev>",
    "recipient": "Zoë 🎉 <ada@example.com>",
    "cc": ["Bob <bob@example.com>"],
    "bcc": ["archive@example.com"],
    "reply_to": '"Help, \\"24/7\\"" <help@acme.dev>',
    "headers": {"X-Order": "1001"},
    "tags": ["receipt", "paid"],
    "attachments": [
        {"filename": "Übersicht.txt", "content_type": "text/plain", "content": CONTENT}
    ],
    "scheduled_at": "2031-02-03T04:05:06.789+02:00",
    "unsubscribe": True,
    "tracking": {"opens": True, "clicks": False},
}
"""What a message can have, beside its words."""

ON_THE_WIRE: JSON = {
    "from": '"Acme, Inc." <hello@acme.dev>',
    "to": ["Zoë 🎉 <ada@example.com>"],
    "cc": ["Bob <bob@example.com>"],
    "bcc": ["archive@example.com"],
    "reply_to": '"Help, \\"24/7\\"" <help@acme.dev>',
    "headers": {"X-Order": "1001"},
    "tags": ["receipt", "paid"],
    "attachments": [
        {
            "filename": "Übersicht.txt",
            "content_type": "text/plain",
            "content": "YXR0YWNoZWQgd29yZHM=",
        }
    ],
    "scheduled_at": "2031-02-03T02:05:06.789Z",
    "unsubscribe": True,
    "tracking": {"opens": True, "clicks": False},
}
"""The same as PostStack documents it."""

router = APIRouter(
    tags=["mail"], dependencies=[ApiKey], responses=problem_responses(409, 422, 502, 503)
)
"""The three ways to send, by somebody who thinks of nothing else."""


@router.post("/send")
async def send(message: Message, mailer: MailerDep) -> dict[str, str]:
    """Send and wait."""
    return {"email_id": await mailer.send(message)}


@router.post("/send-in-background", status_code=202)
async def send_in_background(message: Message, mailer: MailerDep) -> None:
    """Send in the background."""
    mailer.send_in_background(message)


@router.post("/enqueue", status_code=202)
async def enqueue(message: Message, mailer: MailerDep) -> None:
    """Enqueue."""
    await mailer.enqueue(message)


@router.get("/bug")
async def bug() -> None:
    """Fail as nobody foresaw."""
    raise ZeroDivisionError("secret detail")


@asynccontextmanager
async def open_client(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """Run the app's lifespan, and yield a client with a key; bugs are a 500, as for any caller."""
    transport = ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=transport, base_url="http://service", headers=AUTHORIZED) as client,
    ):
        yield client


def problem(response: Response) -> tuple[int, str]:
    """Check the shape that every problem has; return its status and its `Retry-After`."""
    document = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert document["type"] == "about:blank"
    assert document["status"] == response.status_code
    assert document["title"] == HTTPStatus(response.status_code).phrase
    assert document["detail"]
    assert "sk_test" not in response.text
    assert "Traceback" not in response.text
    return response.status_code, response.headers.get("retry-after", "")


def webhook(kind: str = "bounced", **data: Any) -> JSON:
    """Make the JSON of a webhook about the message `em_1` to Ada."""
    email = {"email_id": "em_1", "to": ["ada@example.com"], "recipient": "ada@example.com"}
    time = "2026-02-03T04:05:06.789Z"
    return {"id": kind, "type": f"email.{kind}", "timestamp": time, "data": email | data}


def sign(body: bytes, secret: str) -> str:
    """Sign a webhook as PostStack documents it."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


async def suppress(app: FastAPI, recipient: str, kind: EventType = "bounced") -> None:
    """Let the running app know that the mail `em_0` to this recipient bounced, or the like."""
    await app.state.suppressions.add(recipient, SUPPRESSING[kind], utc_now(), "em_0")


def counter(name: str) -> float:
    """Read one of this process's metrics."""
    return REGISTRY.get_sample_value(name) or 0.0


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program that imports the service, in the current folder."""
    return subprocess.run(  # noqa: S603  it stands in a test
        [sys.executable, "-c", program, *arguments],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
