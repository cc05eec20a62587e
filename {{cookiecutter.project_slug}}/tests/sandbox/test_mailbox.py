"""The mailbox: JSON for scripts, a page that works under any prefix, mails that cannot bite."""

import base64
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from poststack import AsyncPostStack

from sandbox.main import create_sandbox
from sandbox.recipients import MAGIC_RECIPIENTS

SOME_DAY = "2999-01-01T00:00:00Z"


async def test_messages_newest_first(poststack: AsyncPostStack, email: Any, inbox: Any) -> None:
    """Each message has what a script asks for, and the newest comes first."""
    latest = email | {"subject": "Latest", "tags": ["receipt"], "headers": {"X-Order": "42"}}
    await poststack.emails.send(email)
    await poststack.emails.send(latest)
    newest, oldest = await inbox()
    assert [newest["subject"], oldest["subject"]] == ["Latest", "Your receipt"]
    assert newest["time"] >= oldest["time"]
    wanted = {
        "from": email["from"],
        "to": ["ada@example.com"],
        "repeats": 0,
        "tags": ["receipt"],
        "headers": {"X-Order": "42"},
        "body": latest,
    }
    assert newest == newest | wanted


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"to": "grace@"}, 1),
        ({"to": "alan@example.com"}, 1),
        ({"to": "ada@example.com"}, 0),
        ({"q": "tOTAL: 99"}, 1),
        ({"q": "ÜBER"}, 1),
        ({"q": "a_b%"}, 1),
        ({"q": "a.b%"}, 0),
        ({"q": "grace", "to": "ada"}, 0),
        ({"q": "nothing of the kind"}, 0),
    ],
)
async def test_search(
    poststack: AsyncPostStack, email: Any, inbox: Any, query: Any, found: int
) -> None:
    """`to` looks at every recipient, `q` at addresses, subject, text and tags, in any case."""
    mail = email | {
        "to": ["Grace <grace@example.com>"],
        "bcc": ["alan@example.com"],
        "subject": "über alles a_b%",
        "text": "Total: 99",
    }
    await poststack.emails.send(mail)
    assert len(await inbox(**query)) == found


async def test_empty(
    poststack: AsyncPostStack, email: Any, inbox: Any, http: httpx.AsyncClient
) -> None:
    """Emptying forgets the messages and their keys, so that a test can start anew."""
    keyed = email | {"idempotency_key": "receipt:1"}
    first = await poststack.emails.send(keyed)
    assert (await http.delete("/messages")).status_code == 204
    assert await inbox() == []
    second = await poststack.emails.send(keyed)
    assert second["id"] != first["id"]


async def test_polling_is_cheap(
    poststack: AsyncPostStack, email: Any, http: httpx.AsyncClient
) -> None:
    """A new message and a repeat change the ETag; while nothing changes the answer is 304."""
    keyed = email | {"idempotency_key": "receipt:1", "scheduled_at": SOME_DAY}
    seen = [(await http.get("/messages")).headers["etag"]]
    for _ in range(2):
        await poststack.emails.send(keyed)
        seen.append((await http.get("/messages")).headers["etag"])
    assert len(set(seen)) == 3
    again = await http.get("/messages", headers={"If-None-Match": seen[-1]})
    assert again.status_code == 304


@pytest.mark.parametrize(("status", "logged"), [(304, False), (200, True)])
def test_polling_leaves_the_log_alone(status: int, logged: bool) -> None:
    """A poll that found nothing new is no line in the log of `fastapi dev`; other answers are."""
    create_sandbox()
    arguments = ("127.0.0.1:5000", "GET", "/sandbox/messages?body=false", "1.1", status)
    record = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, "%s", arguments, None)
    assert bool(logging.getLogger("uvicorn.access").filter(record)) == logged


async def test_page_may_run_its_own_script_only(http: httpx.AsyncClient) -> None:
    """The page's policy allows neither another host nor a script inside a document."""
    page = await http.get("/")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "https:" not in policy + page.text


async def test_page_lists_the_magic_recipients(http: httpx.AsyncClient) -> None:
    """What the page shows is the table that the sandbox acts on."""
    guide = (await http.get("/guide")).json()
    assert guide["recipients"] == [
        {"address": magic.address, "effect": magic.effect} for magic in MAGIC_RECIPIENTS
    ]


async def test_hostile_html_is_served_without_scripts(
    poststack: AsyncPostStack, email: Any, http: httpx.AsyncClient
) -> None:
    """Opened by its own address a mail is sandboxed, runs nothing and calls nobody."""
    sent = await poststack.emails.send(email | {"html": "<script>alert(1)</script>"})
    answer = await http.get(f"/messages/{sent['id']}/html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox ")
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert "allow-same-origin" not in policy


async def test_attachment_is_a_download(
    poststack: AsyncPostStack, email: Any, inbox: Any, http: httpx.AsyncClient
) -> None:
    """An attachment comes back byte for byte, and never as a page of our own origin."""
    content = b"<script>alert(1)</script>"
    file = {
        "filename": 'naïve "x".html',
        "content": base64.b64encode(content).decode(),
        "content_type": "text/html",
    }
    sent = await poststack.emails.send(email | {"attachments": [file]})
    assert (await inbox())[0]["attachments"][0]["size"] == len(content)
    path = f"/messages/{sent['id']}/attachments"
    answer = await http.get(f"{path}/0")
    assert answer.content == content
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert "na%C3%AFve%20%22x%22.html" in answer.headers["content-disposition"]
    assert (await http.get(f"{path}/1")).status_code == 404


async def test_mounted_under_a_prefix(
    serve: Any, http: httpx.AsyncClient, email: Any, inbox: Any
) -> None:
    """A service mounts it: API, page and static files work below the prefix."""
    service = FastAPI()
    service.mount("/sandbox", create_sandbox())
    url = serve(service) + "/sandbox"
    async with AsyncPostStack("sk_test_sandbox", base_url=url) as poststack:
        sent = await poststack.emails.send(email)
    assert [message["id"] for message in await inbox(url)] == [sent["id"]]
    page = await http.get(url, follow_redirects=True)
    assert page.url == f"{url}/"
    for link in ("static/mailbox.css", "static/mailbox.js"):
        assert f'"{link}"' in page.text
        assert (await http.get(page.url.join(link))).status_code == 200


async def test_messages_outlive_the_process(
    serve: Any, email: Any, inbox: Any, until: Any, tmp_path: Path
) -> None:
    """A second sandbox on the same file has the messages of the first, their keys and schedules."""
    database = tmp_path / "new" / "sandbox.sqlite3"
    keyed = email | {"idempotency_key": "receipt:1"}
    first = serve(create_sandbox(database=database))
    async with AsyncPostStack("sk_test_sandbox", base_url=first) as poststack:
        sent = await poststack.emails.send(keyed)
        waiting = await poststack.emails.send(email | {"scheduled_at": SOME_DAY})

    second = serve(create_sandbox(database=database))
    assert [message["id"] for message in await inbox(second)] == [waiting["id"], sent["id"]]
    async with AsyncPostStack("sk_test_sandbox", base_url=second) as poststack:
        assert (await poststack.emails.send(keyed))["id"] == sent["id"]
        await poststack.emails.reschedule(waiting["id"], "2020-01-01T00:00:00Z")

    async def delivered() -> bool:
        return {message["status"] for message in await inbox(first)} == {"delivered"}

    await until(delivered)


async def test_interrupted_delivery_is_taken_up(
    serve: Any, email: Any, inbox: Any, until: Any, tmp_path: Path
) -> None:
    """A message accepted just before a code reload is delivered after it."""
    database = tmp_path / "sandbox.sqlite3"
    before = create_sandbox(database=database).state.sandbox.store
    before.accept(email, key=None, hours=24, scheduled_at=None)
    url = serve(create_sandbox(database=database))

    async def delivered() -> bool:
        return bool((await inbox(url))[0]["status"] == "delivered")

    await until(delivered)


def test_file_of_another_version_is_started_anew(email: Any, tmp_path: Path) -> None:
    """After an update of the sandbox an old file is no obstacle: its mails were only tests."""
    database = tmp_path / "sandbox.sqlite3"
    store = create_sandbox(database=database).state.sandbox.store
    store.accept(email, key=None, hours=24, scheduled_at=None)
    store._connection.execute("PRAGMA user_version = 999")
    assert create_sandbox(database=database).state.sandbox.store.unfinished() == []


def test_key_of_another_kind_is_refused_at_start() -> None:
    """PostStack's keys start with sk_, so another could never work in production."""
    with pytest.raises(ValueError, match="sk_"):
        create_sandbox(api_key="secret")
