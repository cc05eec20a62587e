"""The mailbox: JSON for scripts, a page under any prefix, and mails that can do no harm."""

import base64
import logging
from typing import Any

import pytest

from sandbox.main import create_sandbox


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"from": "OTHER@example"}, True),
        ({"to": "alan@example.com"}, True),
        ({"to": "ada@example.com"}, False),
        ({"subject": "über"}, True),
        ({"tag": "Hello"}, True),
        ({"tag": "hell"}, False),
        ({"status": "queued"}, True),
        ({"status": "failed"}, False),
        ({"q": "tOTAL: 99"}, True),
        ({"q": "grace", "to": "ada"}, False),
    ],
)
async def test_search(sandbox: Any, email: Any, query: Any, found: bool) -> None:
    """Tag and status match whole, the others in part and in any case; `q` looks everywhere."""
    changes = {
        "from": "other@example.com",
        "to": ["Grace <grace@example.com>"],
        "bcc": ["alan@example.com"],
        "subject": "Über alles",
        "text": "Total: 99",
        "tags": ["hello"],
        "scheduled_at": "2999-01-01T00:00:00Z",
    }
    await sandbox.emails.send(email | changes)
    assert bool(await sandbox.messages(**query)) == found


async def test_empty(sandbox: Any, email: Any) -> None:
    """Emptying deletes the messages and their keys, so that a test can start anew."""
    keyed = email | {"idempotency_key": "receipt:1"}
    first = await sandbox.emails.send(keyed)
    assert (await sandbox.http.delete("/messages")).status_code == 204
    assert await sandbox.messages() == []
    assert (await sandbox.emails.send(keyed))["id"] != first["id"]


async def test_polling_is_cheap(sandbox: Any, email: Any) -> None:
    """What the page asks for has no bodies; while nothing changes the answer is 304."""
    keyed = email | {"idempotency_key": "receipt:1", "scheduled_at": "2999-01-01T00:00:00Z"}
    etags = [(await sandbox.http.get("/messages")).headers["etag"]]
    for _ in range(2):
        await sandbox.emails.send(keyed)
        etags.append((await sandbox.http.get("/messages")).headers["etag"])
    assert len(set(etags)) == 3
    headers = {"If-None-Match": etags[-1]}
    assert (await sandbox.http.get("/messages", headers=headers)).status_code == 304

    await sandbox.emails.send(email)
    [newest] = await sandbox.messages(limit=1, body=False)
    assert newest == newest | {name: email[name] for name in ("from", "to", "subject")}
    assert "body" not in newest


@pytest.mark.parametrize(("status", "logged"), [(304, False), (200, True)])
def test_polling_leaves_the_log_alone(status: int, logged: bool) -> None:
    """A poll that found nothing new is no line in the log of `fastapi dev`; other answers are."""
    create_sandbox()
    arguments = ("127.0.0.1:5000", "GET", "/sandbox/messages?body=false", "1.1", status)
    record = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, "%s", arguments, None)
    assert bool(logging.getLogger("uvicorn.access").filter(record)) == logged


async def test_scheduled(sandbox: Any, email: Any) -> None:
    """The page, which has no API key, reschedules and cancels what waits, and nothing else."""
    later = email | {"scheduled_at": "2999-01-01T00:00:00Z"}
    moved, cancelled = [(await sandbox.emails.send(later))["id"] for _ in range(2)]
    del sandbox.http.headers["authorization"]

    for status in (200, 409):
        time = {"scheduled_at": "2020-01-01T00:00:00Z"}
        answer = await sandbox.http.patch(f"/messages/{moved}", json=time)
        assert answer.status_code == status
        answer = await sandbox.http.post(f"/messages/{cancelled}/cancel")
        assert answer.status_code == status
        await sandbox.reaches("queued", "delivered")


async def test_policies(sandbox: Any, email: Any) -> None:
    """The page runs its own script only; a mail, also at its own address, runs none at all."""
    page = await sandbox.http.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "https:" not in policy + page.text

    sent = await sandbox.emails.send(email | {"html": "<script>alert(1)</script>"})
    mail = await sandbox.http.get(f"/messages/{sent['id']}/html")
    policy = mail.headers["content-security-policy"]
    assert policy.startswith("sandbox ")
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert "allow-same-origin" not in policy


async def test_attachment_is_a_download(sandbox: Any, email: Any) -> None:
    """An attachment comes back byte for byte, and never as a page of our own origin."""
    content = base64.b64encode(b"<script>alert(1)</script>").decode()
    file = {"filename": 'naïve "x".html', "content": content, "content_type": "text/html"}
    sent = await sandbox.emails.send(email | {"attachments": [file]})
    path = f"/messages/{sent['id']}/attachments"
    answer = await sandbox.http.get(f"{path}/0")
    assert answer.content == b"<script>alert(1)</script>"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert "na%C3%AFve%20%22x%22.html" in answer.headers["content-disposition"]
    assert (await sandbox.http.get(f"{path}/1")).status_code == 404
