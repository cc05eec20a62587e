"""`poe suppressions`: both lists, here and at PostStack."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from poststack import AsyncPostStack
from respx import MockRouter
from starlette.types import ASGIApp

from app.commands.suppressions import main
from app.database import Database
from app.mail.message import utc_now
from app.mail.suppressions import Suppressions
from sandbox.main import create_sandbox
from tests.commands.conftest import Command
from tests.service import JSON

ADA = "ada@example.com"
TIME = "2026-02-03T04:05:06.789Z"


@pytest.fixture
def suppressions(database: Database) -> Suppressions:
    """What the command reads and writes."""
    return Suppressions(database)


def page(entries: list[Any], number: int = 1, last: int = 1) -> JSON:
    """Make a page of PostStack's list."""
    return {"suppressions": entries, "pagination": {"page": number, "total_pages": last}}


async def addresses(suppressions: Suppressions) -> list[str]:
    """List whom the service suppresses."""
    return [row.address for row in await suppressions.list()]


async def test_list(command: Command, suppressions: Suppressions) -> None:
    """A line for each, by address; what a terminal would obey is replaced."""
    assert await command(main, "list") == ("No address is suppressed.", "")
    now = utc_now()
    await suppressions.add("eve@example.com", "\x1b[2J\nforged", now, "em\x9b1")
    await suppressions.add(ADA, "manual", now)
    time = f"{now:%Y-%m-%d %H:%M}"
    lines = [
        f"{time}  manual  {ADA}",
        f"{time}  \ufffd[2J\ufffdforged  eve@example.com  em\ufffd1",
    ]
    assert await command(main, "list") == ("\n".join(lines), "")


async def test_add(command: Command, suppressions: Suppressions, router: MockRouter) -> None:
    """An address is suppressed here and at PostStack; if PostStack refuses, neither."""
    route = router.post(path="/suppressions").respond(403, json={"error": "No \x1b[1m permission"})
    said = await command(main, "add", ADA)
    assert said == ("", "Not done: PostStack answered 403: No \ufffd[1m permission")
    assert await addresses(suppressions) == []

    route.respond(201, json={})
    assert await command(main, "add", "Ada <ADA@example.com>") == ("Suppressed.", "")
    assert json.loads(route.calls.last.request.content) == {"email": ADA, "reason": "manual"}
    assert await command(main, "add", ADA) == ("Was suppressed already.", "")
    assert await addresses(suppressions) == [ADA]


@pytest.mark.parametrize("status", [200, 204, 404])
async def test_remove(
    status: int, command: Command, suppressions: Suppressions, router: MockRouter
) -> None:
    """An address comes off both lists, in either spelling, if PostStack has it or not."""
    route = router.delete(path__startswith="/suppressions/").respond(status)
    before = utc_now()
    await suppressions.add("ada@münchen.de", "hard_bounce", before, "em_1")

    assert await command(main, "remove", "Ada@MÜNCHEN.de") == ("Gets mail again.", "")
    asked = {httpx.URL(str(call.request.url)).path for call in route.calls}
    assert asked == {"/suppressions/ada@münchen.de", "/suppressions/ada@xn--mnchen-3ya.de"}
    said = await command(main, "remove", "ada@xn--mnchen-3ya.de")
    assert said == ("Was not suppressed here.", "")

    await suppressions.add("ada@münchen.de", "hard_bounce", before, "em_1")  # as a replay does
    assert await addresses(suppressions) == []
    await suppressions.add("ada@münchen.de", "complaint", utc_now(), "em_2")
    assert await addresses(suppressions) == ["ada@xn--mnchen-3ya.de"]


async def test_remove_refused(
    command: Command, suppressions: Suppressions, router: MockRouter
) -> None:
    """Where PostStack refuses, nothing changes here: it would refuse the mail as well."""
    await suppressions.add(ADA, "hard_bounce", utc_now())
    error = {"error": "Invalid key sk_test_of_the_tests", "code": "unauthorized"}
    router.delete(path=f"/suppressions/{ADA}").respond(401, json=error)
    said = await command(main, "remove", ADA)
    assert said == ("", "Not done: PostStack answered 401 unauthorized: Invalid key <secret>")
    assert await addresses(suppressions) == [ADA]


async def test_sync(command: Command, suppressions: Suppressions, router: MockRouter) -> None:
    """All pages and reasons, in both spellings of the fields, and again without a change."""
    reasons = ("hard_bounce", "complaint", "unsubscribe", "manual", "new_reason")
    entries = [{"email": f"{each}@example.com", "reason": each} for each in reasons]
    entries[0]["email"] = "Ada <ADA@münchen.de>"
    camel = [each | {"id": "1", "createdAt": TIME} for each in entries[3:]]
    pages: dict[str, JSON] = {
        "1": page([each | {"created_at": TIME} for each in entries[:3]], 1, 2),
        "2": {"suppressions": camel, "pagination": {"page": 2, "totalPages": 2}},
    }
    route = router.get(path="/suppressions")
    route.mock(side_effect=lambda asked: httpx.Response(200, json=pages[asked.url.params["page"]]))

    for new in (5, 0):
        said = f"PostStack suppresses 5 addresses, of which {new} are new here."
        assert await command(main, "sync") == (said, "")
    assert route.call_count == 4
    rows = {row.reason: row.address for row in await suppressions.list()}
    assert rows.pop("hard_bounce") == "ada@xn--mnchen-3ya.de"
    assert rows == {each: f"{each}@example.com" for each in reasons[1:]}

    await suppressions.remove("manual@example.com")
    await command(main, "sync")
    assert "manual@example.com" not in await addresses(suppressions)
    camel[0]["createdAt"] = (utc_now() + timedelta(seconds=1)).isoformat()
    await command(main, "sync")
    assert "manual@example.com" in await addresses(suppressions)


async def test_unreadable(command: Command, suppressions: Suppressions, router: MockRouter) -> None:
    """What is no address, or has no time, is reported and skipped; the rest is not lost."""
    rest = {"reason": "manual", "created_at": TIME}
    entries = [
        rest | {"email": "\x1b[2Jnobody"},
        {"email": "eve@example.com", "reason": "manual"},
        rest | {"email": "zoe@example.com", "created_at": "0001-01-01T00:00:00+02:00"},
        None,
        rest | {"email": ADA},
    ]
    router.get(path="/suppressions").respond(json=page(entries))
    said, exited = await command(main, "sync")
    *skipped, summary = said.split("\n")
    assert summary == "PostStack suppresses 1 addresses, of which 1 are new here."
    assert [line.rpartition("; ")[2] for line in skipped] == [
        "see email.",
        "see created_at.",
        "see created_at.",
        "see the whole.",
    ]
    assert said.replace("\n", "").isprintable()
    assert exited == ""
    assert await addresses(suppressions) == [ADA]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (
            httpx.Response(401, json={"error": "Invalid API key", "code": "unauthorized"}),
            "PostStack answered 401 unauthorized: Invalid API key",
        ),
        (httpx.Response(502, html="<h1>\x1b[2J"), "PostStack answered 502: Bad Gateway"),
        (httpx.Response(200, html="<h1>Sign in"), "PostStack's list cannot be read; see the whole"),
        (httpx.Response(204), "PostStack's list cannot be read; see the whole"),
        (
            httpx.Response(200, content="{", headers={"Content-Type": "application/json"}),
            "PostStack's answer is not JSON",
        ),
        (
            httpx.Response(200, json={"suppressions": []}),
            "PostStack's list cannot be read; see pagination.total_pages",
        ),
        (httpx.ConnectError("cut"), "PostStack not reached: "),
    ],
    ids=["401", "502", "html", "empty", "json", "pages", "cut"],
)
async def test_no_list(answer: Any, line: str, command: Command, router: MockRouter) -> None:
    """Whatever else PostStack answers is one line."""
    route = router.get(path="/suppressions")
    if isinstance(answer, Exception):
        route.mock(side_effect=answer)
    else:
        route.mock(return_value=answer)
    said, exited = await command(main, "sync")
    assert said == ""
    assert exited.startswith(f"Not done: {line}")
    assert exited.isprintable()


@pytest.mark.parametrize("name", ["add", "remove"])
@pytest.mark.parametrize("address", ["ada", "", "ada@example.com, eve@example.com", "a\x1b@b.c"])
async def test_no_address(name: str, address: str, command: Command) -> None:
    """What is no address is one line that quotes it, and PostStack is not asked."""
    assert await command(main, name, address) == ("", f"Not done: {address!r} is not an address.")


async def test_sandbox(
    command: Command,
    serve: Callable[[ASGIApp], str],
    monkeypatch: pytest.MonkeyPatch,
    suppressions: Suppressions,
) -> None:
    """With the sandbox as PostStack: what it lists arrives, and gets mail again when taken off."""
    url = serve(create_sandbox())
    monkeypatch.setenv("POSTSTACK_BASE_URL", url)
    monkeypatch.setenv("POSTSTACK_API_KEY", "sk_test_sandbox")
    async with AsyncPostStack("sk_test_sandbox", base_url=url) as poststack:
        for number in range(45):
            await poststack.suppressions.add({"email": f"{number}@example.com"})
        said = "PostStack suppresses 45 addresses, of which 45 are new here."
        assert await command(main, "sync") == (said, "")
        assert await command(main, "remove", "7@example.com") == ("Gets mail again.", "")
        assert await command(main, "add", "ada@münchen.de") == ("Suppressed.", "")
        said = "PostStack suppresses 45 addresses, of which 0 are new here."
        assert await command(main, "sync") == (said, "")
        listed = await poststack.suppressions.list({"per_page": 100})
    there = {each["email"] for each in listed["suppressions"]}
    assert there == set(await addresses(suppressions))
    assert "7@example.com" not in there


async def test_away(command: Command, monkeypatch: pytest.MonkeyPatch, router: MockRouter) -> None:
    """Without its database it says so in one line, and no password."""
    router.route().respond(200, json=page([{"email": ADA, "reason": "manual", "created_at": TIME}]))
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada:hunter2@127.0.0.1:9/mail")
    for arguments in (["list"], ["add", ADA], ["remove", ADA], ["sync"]):
        said, exited = await command(main, *arguments)
        assert said == ""
        assert exited.startswith("Not done: PostgreSQL not reached: ")
        assert exited.isprintable()
        assert "hunter2" not in exited
