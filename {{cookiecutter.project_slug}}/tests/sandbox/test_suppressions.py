"""`/suppressions` of the sandbox, as the SDK calls PostStack's."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sandbox.recipients import DOMAIN

REASONS = {"bounced": "hard_bounce", "complained": "complaint", "unsubscribed": "unsubscribe"}


async def test_pages(sandbox: Any) -> None:
    """The list comes in pages, the latest first, each address once and with its first reason."""
    assert await sandbox.suppressions.list() == {
        "suppressions": [],
        "pagination": {"page": 1, "total_pages": 0},
    }
    for number in range(25):
        await sandbox.suppressions.add({"email": f"Ada {number} <{number}@Example.com>"})
    await sandbox.suppressions.add({"email": "24@example.com", "reason": "complaint"})

    pages = [await sandbox.suppressions.list({"page": number}) for number in (1, 2, 3)]
    assert [len(page["suppressions"]) for page in pages] == [20, 5, 0]
    assert [page["pagination"]["page"] for page in pages] == [1, 2, 3]
    assert {page["pagination"]["total_pages"] for page in pages} == {2}
    listed = [each for page in pages for each in page["suppressions"]]
    assert [each["email"] for each in listed] == [f"{n}@example.com" for n in range(24, -1, -1)]
    assert {each["reason"] for each in listed} == {"manual"}
    assert {each["created_at"][-1] for each in listed} == {"Z"}
    [one] = (await sandbox.suppressions.list({"page": 25, "per_page": 1}))["suppressions"]
    assert one["email"] == "0@example.com"


async def test_listed_recipient(sandbox: Any, email: Any) -> None:
    """Mail to a listed address is refused, also in a batch or as a copy, until it is taken off."""
    await sandbox.suppressions.add({"email": "a/d%a@example.com", "reason": "complaint"})
    mail = email | {"cc": ["Ada <A/D%A@example.com>"]}

    refused = await sandbox.refusal(sandbox.emails.send(mail), 422, "unprocessable_entity")
    assert refused.error == "Recipient is suppressed: A/D%A@example.com"
    answers = (await sandbox.emails.batch({"emails": [mail, email]}))["data"]
    assert [set(answer) for answer in answers] == [{"error", "code"}, {"id"}]

    await sandbox.suppressions.remove("a/D%a@EXAMPLE.com")
    assert await sandbox.emails.send(mail)
    again = sandbox.suppressions.remove("a/d%a@example.com")
    await sandbox.refusal(again, 404, "not_found")


@pytest.mark.parametrize("name", REASONS)
async def test_event(sandbox: Any, email: Any, name: str) -> None:
    """A bounce, a complaint or an unsubscription lists its recipient, and nobody else.

    A repeat of the message that was accepted before is still a repeat.
    """
    address = f"{name}+1@{DOMAIN}"
    mail = email | {"to": ["ada@example.com", address], "idempotency_key": "receipt:1"}
    first = await sandbox.emails.send(mail)
    await sandbox.reaches(name)

    [listed] = (await sandbox.suppressions.list())["suppressions"]
    assert (listed["email"], listed["reason"]) == (address, REASONS[name])
    new = sandbox.emails.send(mail | {"idempotency_key": "receipt:2"})
    await sandbox.refusal(new, 422, "unprocessable_entity")
    assert await sandbox.emails.send(mail) == first | {"replayed": True}
    assert await sandbox.emails.send(email)
    assert await sandbox.emails.send(email | {"to": [f"{name}+2@{DOMAIN}"]})

    await sandbox.http.delete("/messages")
    assert (await sandbox.suppressions.list())["suppressions"] == []


async def test_refusals(sandbox: Any) -> None:
    """What is no address, reason, page or key is refused as PostStack refuses it."""
    add, listed = sandbox.suppressions.add, sandbox.suppressions.list
    for call in (
        add({"email": "ada"}),
        add({"reason": "manual"}),
        add({"email": "ada@example.com", "reason": "dislike"}),
        listed({"page": 0}),
        listed({"per_page": 101}),
    ):
        await sandbox.refusal(call, 400, "invalid_request")
    for method in ("GET", "POST", "DELETE"):
        path = "/suppressions" + "/ada@example.com" * (method == "DELETE")
        answer = await sandbox.http.request(method, path, headers={"Authorization": "Bearer no"})
        assert answer.status_code == 401


async def test_file(connect: Any, email: Any, tmp_path: Path) -> None:
    """The list is in the sandbox's file, where several processes have one."""
    database = tmp_path / "sandbox.sqlite3"
    first, second = [await connect(database=database) for _ in range(2)]
    await asyncio.gather(
        *(caller.suppressions.add({"email": "ada@example.com"}) for caller in (first, second) * 5)
    )
    assert len((await second.suppressions.list())["suppressions"]) == 1
    await first.refusal(first.emails.send(email), 422, "unprocessable_entity")
