"""`/signup` is for everybody, but nobody can flood a mailbox with it, or learn who is known."""

from collections.abc import Callable

import httpx
import pytest
import respx
from fastapi import FastAPI, HTTPException
from starlette.types import ASGIApp

from app.dispatch import DispatchSettings
from app.limits import Limit, network
from app.main import create_app
from sandbox.main import create_sandbox
from tests.test_problems import problem
from tests.test_roads import SIGNUP
from tests.test_webhooks import post as post_webhook
from tests.test_webhooks import webhook


@pytest.fixture
def settings(settings: DispatchSettings) -> DispatchSettings:
    """Settings of a service that soon has enough."""
    limits = {"client_signups_per_minute": 5, "recipient_signups_per_hour": 2}
    return settings.model_copy(update=limits)


def signup(number: int) -> dict[str, str]:
    """Make a signup of one of many."""
    return SIGNUP | {"email": f"ada-{number}@example.com"}


class Clock:
    """A time that passes when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def taken(limit: Limit, key: str) -> bool:
    """Say whether the limit took one more."""
    try:
        limit.take(key)
    except HTTPException:
        return False
    return True


async def test_recipient(service: httpx.AsyncClient, wire: respx.Route) -> None:
    """One mailbox, by whichever of its addresses, gets so many; the others are not touched."""
    statuses = [
        problem(response) if response.is_error else (response.status_code, "")
        for email in ("ada@example.com", "ADA@example.com", "Ada+1@Example.COM")
        for response in [await service.post("/signup", json=SIGNUP | {"email": email})]
    ]

    assert statuses == [(201, ""), (201, ""), (429, "3600")]
    assert wire.call_count == 2
    assert (await service.post("/signup", json=signup(1))).status_code == 201


async def test_client(app: FastAPI, wire: respx.Route) -> None:
    """One client gets as many as one does, whomever it names; a second one is not touched."""
    statuses = []
    for host in ("192.0.2.1", "192.0.2.2"):
        transport = httpx.ASGITransport(app, client=(host, 123))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            responses = [await client.post("/signup", json=signup(n)) for n in range(6)]
        statuses += [response.status_code for response in responses[:5]]
        assert problem(responses[5]) == (429, "60")

    assert statuses == [201] * 10
    assert wire.call_count == 10


async def test_repeat_after_failure(service: httpx.AsyncClient, wire: respx.Route) -> None:
    """A 503 asks for a repeat, so it does not count for the recipient; the mail stays the same."""
    wire.respond(503, headers={"retry-after": "61"})
    for _ in range(3):
        assert (await service.post("/signup", json=SIGNUP)).status_code == 503
    wire.respond(202, json={"id": "em_1"})
    for _ in range(2):
        assert (await service.post("/signup", json=SIGNUP)).status_code == 201

    assert len({call.request.content for call in wire.calls}) == 1


async def test_strangers_learn_nothing(service: httpx.AsyncClient, wire: respx.Route) -> None:
    """New, known or suppressed, an address gets the same status, headers and shape."""
    await post_webhook(service, webhook("complained", email_id="em_9", recipient="eve@example.com"))
    new, known, suppressed = [
        await service.post("/signup", json=SIGNUP | {"email": email})
        for email in ("ada@example.com", "ada@example.com", "eve@example.com")
    ]

    assert [answer.json() for answer in (new, known, suppressed)] == [
        {"email_id": "em_1"},
        {"email_id": "em_1"},
        {"email_id": "em_9"},
    ]
    assert {answer.status_code for answer in (new, known, suppressed)} == {201}
    for answer in (new, known, suppressed):
        del answer.headers["x-request-id"]
    assert new.headers == known.headers == suppressed.headers
    assert wire.call_count == 2


async def test_strangers_learn_nothing_from_a_new_wording(
    serve: Callable[[ASGIApp], str], settings: DispatchSettings
) -> None:
    """A known address that signs up again after the mail has changed gets what any address gets."""
    url = serve(create_sandbox(api_key="sk_test_of_the_tests"))
    for name in ("Before", "After"):
        changed = {"poststack_base_url": url, "service_name": name}
        app = create_app(settings.model_copy(update=changed))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://service") as client,
        ):
            assert (await client.post("/signup", json=SIGNUP)).status_code == 201


def test_window() -> None:
    """A window opens with its first, closes after its time, and says how long that still is."""
    clock = Clock()
    limit = Limit(2, 60, clock=clock)
    assert [taken(limit, "a") for _ in range(3)] == [True, True, False]
    clock.now += 50.5
    with pytest.raises(HTTPException) as refusal:
        limit.take("a")
    assert refusal.value.headers == {"Retry-After": "10"}

    clock.now += 9.5
    assert [taken(limit, "a") for _ in range(3)] == [True, True, False]
    limit.give_back("a")
    assert [taken(limit, "a") for _ in range(2)] == [True, False]


def test_memory() -> None:
    """However many clients come, no more than so many are remembered: the newest."""
    clock = Clock()
    limit = Limit(1, 60, capacity=100, clock=clock)
    assert taken(limit, "first")
    for number in range(99):
        clock.now += 0.1
        assert taken(limit, str(number))
    assert not taken(limit, "first")

    assert all(taken(limit, f"more-{number}") for number in range(10_000))
    assert len(limit._windows) == 100
    assert not taken(limit, "more-9999")
    limit.give_back("first")  # which nobody remembers
    assert taken(limit, "first")


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::"),
        ("2001:db8::2:3:4:5", "2001:db8::"),
        ("2001:db8:0:1::1", "2001:db8:0:1::"),
        ("fe80::1%eth0", "fe80::"),
        ("testclient", "unknown"),
        (None, "unknown"),
    ],
)
def test_network(host: str | None, client: str) -> None:
    """A client cannot become another by another address of its own network."""
    assert network(host) == client
