"""Previews: the service's emails in the mailbox's reader, with nothing sent."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any

NAME = "shop/invoice"
FILE = {"filename": "terms.txt", "content": base64.b64encode(b"Terms").decode()}


async def test_previews(connect: Callable[..., Awaitable[Any]], email: Any) -> None:
    """Each is there as a message would be; what changes is told at once, and nothing is sent."""
    bodies = {NAME: email | {"attachments": [FILE]}}
    sandbox = await connect(previews=lambda: bodies)
    path = f"/previews/messages/{NAME}"

    page = await sandbox.http.get("/previews")
    assert page.content == (await sandbox.http.get("/")).content
    assert (await sandbox.http.get("/guide")).json()["previews"] is True
    preview = (await sandbox.http.get(path)).json()
    assert preview == {
        **{"id": NAME, "error": None, "body": bodies[NAME]},
        **{name: email[name] for name in ("from", "to", "subject")},
    }
    mail, message = [await sandbox.http.get(f"{path}/{part}") for part in ("html", "attachments/0")]
    assert mail.text.startswith(email["html"])
    assert mail.headers["content-security-policy"].startswith("sandbox ")
    assert message.content == b"Terms"
    assert (await sandbox.http.get("/previews/messages/other")).status_code == 404

    for q, total in (("SHOP/", 1), ("your receipt", 1), ("welcome", 0)):
        query = {"q": q, "body": False}
        found = (await sandbox.http.get("/previews/messages", params=query)).json()
        assert found["total"] == len(found["messages"]) == total
        assert not any("body" in preview for preview in found["messages"])
    listed = await sandbox.http.get("/previews/messages")
    assert listed.json()["messages"] == [preview]
    headers = {"If-None-Match": listed.headers["etag"]}
    for status in (304, 200):
        answer = await sandbox.http.get("/previews/messages", headers=headers)
        assert answer.status_code == status
        bodies[NAME]["text"] = "Another text"
    assert await sandbox.messages() == []


async def test_broken_previews(connect: Callable[..., Awaitable[Any]], email: Any) -> None:
    """What does not render, or would be refused, says so beside those that are fine."""
    bodies = {"a": {"error": "a/body.txt, line 1"}, "b": email | {"to": ["ada"]}, "c": email}
    sandbox = await connect(previews=lambda: bodies)
    previews = (await sandbox.http.get("/previews/messages")).json()["messages"]
    assert [preview["error"] for preview in previews] == [
        "a/body.txt, line 1",
        "PostStack would refuse it: to.0: not an email address",
        None,
    ]
    assert (await sandbox.http.get("/previews/messages/a/html")).status_code == 200


async def test_no_previews(sandbox: Any) -> None:
    """A sandbox that no service has given its emails has no such page."""
    assert (await sandbox.http.get("/guide")).json()["previews"] is False
    for path in ("/previews", "/previews/messages", f"/previews/messages/{NAME}"):
        assert (await sandbox.http.get(path)).status_code == 404
