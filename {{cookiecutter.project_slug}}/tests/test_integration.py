"""The service against the sandbox on a real port, which validates like the real PostStack."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from app.dispatch import DispatchSettings
from sandbox.main import create_sandbox


@pytest.fixture(scope="session")
def sandbox(serve: Callable[[ASGIApp], str]) -> str:
    """The address of a sandbox that takes the tests' key."""
    return serve(create_sandbox(api_key="sk_test_of_the_tests"))


@pytest.fixture
def settings(settings: DispatchSettings, sandbox: str) -> DispatchSettings:
    """Settings of a service that talks to the sandbox."""
    httpx.delete(f"{sandbox}/messages")
    return settings.model_copy(update={"poststack_base_url": sandbox})


def mailbox(sandbox: str) -> list[dict[str, Any]]:
    """What the sandbox has accepted, newest first."""
    messages: list[dict[str, Any]] = httpx.get(f"{sandbox}/messages").json()["messages"]
    return messages


async def test_one_signup_one_mail(service: httpx.AsyncClient, sandbox: str) -> None:
    """Signing up twice gives the same email id, and one mail with one repeat absorbed."""
    signup = {"email": "ada@example.com", "name": "Ada"}
    first, second = [(await service.post("/signup", json=signup)).json() for _ in range(2)]

    assert first == second
    [mail] = mailbox(sandbox)
    assert (mail["id"], mail["repeats"]) == (first["email_id"], 1)


@pytest.mark.parametrize(
    ("recipient", "status"),
    [
        ("delivered", 201),
        ("bounced", 201),
        ("throttled", 201),
        ("flaky", 201),
        ("suppressed", 422),
        ("unverified", 502),
        ("unauthorized", 502),
        ("forbidden", 502),
        ("quota", 502),
        ("down", 503),
    ],
)
async def test_outcomes(
    recipient: str, status: int, service: httpx.AsyncClient, sandbox: str
) -> None:
    """Whatever PostStack answers, the caller learns what to do, and only accepted mail is there."""
    signup = {"email": f"{recipient}@sandbox.poststack.dev", "name": "Ada"}

    assert (await service.post("/signup", json=signup)).status_code == status
    assert len(mailbox(sandbox)) == (status == 201)


async def test_hostile_words(service: httpx.AsyncClient, sandbox: str) -> None:
    """What people type arrives as they typed it, in any script, and as text."""
    name = "Zoë <script>alert('日本')</script> & Söhne"
    await service.post("/signup", json={"email": "ada@example.com", "name": name})
    await service.post("/notify", json={"email": "bob@example.com", "name": name})

    notice, welcome = (mail["body"] for mail in mailbox(sandbox))
    assert name in welcome["subject"]
    for body in (notice, welcome):
        assert f"Hello {name}," in body["text"]
        assert "<script>" not in body["html"]
