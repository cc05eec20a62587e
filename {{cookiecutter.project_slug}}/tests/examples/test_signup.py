"""`POST /signup`: one address is one user and one mail, nobody's mailbox is flooded."""

import asyncio

import pytest
from fastapi import FastAPI, HTTPException
from httpx import ASGITransport, AsyncClient
from respx import Route

from app.application import create_app
from app.database import Database, open_database
from app.examples.signup.limits import Limit, RecipientLimit, mailbox, network
from app.examples.signup.router import SignupRequest
from app.examples.signup.users import User, Users
from app.mail.message import utc_now
from app.settings import Settings
from tests.databases import at
from tests.service import Sent, open_client, problem, suppress

SIGNUP = {"email": "ada@example.com", "name": "Ada"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings of a service that soon has enough."""
    limits = {"client_signups_per_minute": 6, "recipient_signups_per_hour": 2}
    return settings.model_copy(update=limits)


async def test_welcome(service: AsyncClient, sent: Sent) -> None:
    """201 with PostStack's id; the same address, in any case, is the same user and mail."""
    response = await service.post("/signup", json=SIGNUP)
    await service.post("/signup", json={"email": "ADA@example.com", "name": "Eve"})
    await service.post("/signup", json={"email": "bob@example.com", "name": "Zenobia 李, Jr. <b>"})

    assert (response.status_code, response.json()) == (201, {"email_id": "em_1"})
    first, second, other = sent()
    assert first == second
    assert first["to"] == ["ada@example.com"]
    assert first["idempotency_key"].startswith("welcome:")
    assert other["idempotency_key"] != first["idempotency_key"]
    # Nothing that a stranger typed is in the mail.
    assert not [word for word in ("Ada", "Eve", "Zenobia", "Jr.") if word in str([first, other])]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("email", value) for value in ("ada", "ada@example.com\r\nBcc: b@c")),
        *(("name", value) for value in ("Ada\0", "Ada\nBuy", " \n ", None, "A" * 101)),
        *(("name", value) for value in ("https://evil", "see WWW.EVIL.EXAMPLE")),
    ],
)
async def test_refused(field: str, value: object, service: AsyncClient, wire: Route) -> None:
    """What no mail can or should say is a 422 that names the field."""
    response = await service.post("/signup", json=SIGNUP | {field: value})

    assert problem(response) == (422, "")
    [error] = response.json()["errors"]
    assert error["field"] == f"body.{field}"
    assert "error," not in error["detail"]
    assert not wire.called


async def test_limit_of_recipient(service: AsyncClient, wire: Route, sent: Sent) -> None:
    """One mailbox, by whichever of its addresses, gets so many; the others are not touched.

    A 503 asks for a repeat, so it does not count; the mail stays the same.
    """
    wire.respond(503, headers={"retry-after": "61"})
    answers = [await service.post("/signup", json=SIGNUP) for _ in range(2)]
    wire.respond(202, json={"id": "em_1"})
    addresses = ("ada@example.com", "Ada+1@Example.COM", "ADA@example.com", "bob@example.com")
    answers += [await service.post("/signup", json=SIGNUP | {"email": to}) for to in addresses]

    assert [answer.status_code for answer in answers] == [503, 503, 201, 201, 429, 201]
    assert problem(answers[4]) == (429, "3600")
    assert sent()[0] == sent()[1] == sent()[2]


@pytest.mark.usefixtures("service")
async def test_limit_of_client(app: FastAPI, wire: Route) -> None:
    """One client gets as many as one does, whomever it names; a second one is not touched."""
    for host in ("192.0.2.1", "192.0.2.2"):
        transport = ASGITransport(app, client=(host, 123))
        async with AsyncClient(transport=transport, base_url="http://service") as client:
            bodies = [SIGNUP | {"email": f"ada-{n}@example.com"} for n in range(7)]
            answers = [await client.post("/signup", json=body) for body in bodies]
        assert [answer.status_code for answer in answers] == [201] * 6 + [429]
        assert problem(answers[6]) == (429, "60")
    assert wire.call_count == 12


async def test_strangers_learn_nothing(
    app: FastAPI, service: AsyncClient, settings: Settings, sent: Sent
) -> None:
    """New, known, suppressed, or welcomed in other words: the same status, headers and shape."""
    await suppress(app, "eve@example.com", "complained")
    addresses = ("ada@example.com", "ada@example.com", "eve@example.com")
    answers = [await service.post("/signup", json=SIGNUP | {"email": to}) for to in addresses]
    update = {"service_name": "New", "recipient_signups_per_hour": 3}
    async with open_client(create_app(settings.model_copy(update=update))) as new:
        answers.append(await new.post("/signup", json=SIGNUP))

    assert [answer.json().pop("email_id") for answer in answers] == ["em_1", "em_1", "em_0", "em_1"]
    for answer in answers:
        del answer.headers["x-request-id"]
        assert (answer.status_code, answer.headers) == (201, answers[0].headers)
    keys = [mail["idempotency_key"] for mail in sent()]
    assert keys[0] == keys[1] != keys[2]


def counted(limit: Limit, key: str) -> bool:
    """Say whether the limit took one more."""
    try:
        limit.count(key)
    except HTTPException:
        return False
    return True


def test_window() -> None:
    """A window opens with its first, closes after its time, and says how long that still is."""
    clock = iter([100.0] * 3 + [150.5] + [160.0] * 5)
    limit = Limit(2, 60, clock=lambda: next(clock))
    assert [counted(limit, "a") for _ in range(3)] == [True, True, False]
    with pytest.raises(HTTPException) as refusal:
        limit.count("a")
    assert refusal.value.headers == {"Retry-After": "10"}

    assert [counted(limit, "a") for _ in range(3)] == [True, True, False]


def test_capacity() -> None:
    """However many clients come, no more than so many are remembered: the newest."""
    limit = Limit(1, 60)
    limit.capacity = 3
    taken = [key for key in "abcadeda" if counted(limit, key)]
    assert "".join(taken) == "abcdea"
    assert counted(limit, "b")  # which nobody remembers


async def test_recipient_limit(database: Database) -> None:
    """An hour holds in all processes, ends by itself, and its last signup can be taken back."""
    here, there = RecipientLimit(database, 2), RecipientLimit(database, 2)
    outcomes = await asyncio.gather(
        *(limit.count("ada@example.com") for limit in (here, there) * 5), return_exceptions=True
    )
    assert outcomes.count(None) == 2
    with pytest.raises(HTTPException) as refusal:
        await here.count("Ada+1@example.com")
    assert refusal.value.headers == {"Retry-After": "3600"}

    await database.fetch("UPDATE signup_windows SET ends_at = $1", utc_now())
    await here.count("ada@example.com")
    await there.count("ada@example.com")
    with pytest.raises(HTTPException):
        await there.count("ada@example.com")
    await here.undo("ada@example.com")
    await there.count("ada@example.com")
    with pytest.raises(HTTPException):
        await there.count("ada@example.com")

    await database.fetch("UPDATE signup_windows SET ends_at = $1", utc_now())
    await here.forget()
    assert await database.fetch("SELECT * FROM signup_windows") == []


def test_mailbox() -> None:
    """All of somebody's addresses have one count, also where a provider has two domains."""
    for spellings in (
        ("ada@example.com", "ADA+1@Example.com", "ada+2@example.com."),
        ("adalovelace@gmail.com", "a.d.a.lovelace@googlemail.com", "Ada.Lovelace+x@GMAIL.com"),
    ):
        assert len({mailbox(each) for each in spellings}) == 1
    assert mailbox("a.da@example.com") != mailbox("ada@example.com")


def test_network() -> None:
    """A client cannot become another by another address of its own network."""
    assert network("192.0.2.1") == network("::ffff:192.0.2.1") == "192.0.2.1"
    assert network("2001:db8:0:1:2:3:4:5") == "2001:db8:0:1::"
    assert network("fe80::1%eth0") == "fe80::"
    assert network("testclient") == network(None) == "unknown"


async def test_users(settings: Settings, database_url: str) -> None:
    """One address is one user, for simultaneous signups from two processes, and after a restart."""
    settings = at(settings, database_url)
    async with open_database(settings) as here, open_database(settings) as there:
        stores = Users(here), Users(there)
        users = await asyncio.gather(
            *(store.add(f"zo{c}@example.com", "Zoë") for c in "ëË" for store in stores)
        )
    async with open_database(settings) as after:
        again = await Users(after).add("zoë@example.com", "Somebody else")
        # Unicode folds the one domain into the other, which is somebody else's.
        others = [await Users(after).add(f"ada@{name}.de", "Ada") for name in ("straße", "strasse")]

    assert {*users, again} == {again}
    assert [user.email for user in others] == ["ada@straße.de", "ada@strasse.de"]


def test_reprs() -> None:
    """No log that prints them names a person."""
    request, user = SignupRequest.model_validate(SIGNUP), User("1", "ada@example.com", "Ada")
    assert "ada" not in f"{request!r} {request} {user!r}".lower()
