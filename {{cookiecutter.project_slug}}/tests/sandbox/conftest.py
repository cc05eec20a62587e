"""A real sandbox on a real port, and the real SDK in front of it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anyio
import httpx
import pytest
from poststack import AsyncPostStack
from starlette.types import ASGIApp

from sandbox import delivery
from sandbox.main import create_sandbox

API_KEY = "sk_test_sandbox"


@pytest.fixture(scope="session", autouse=True)
def hurry() -> Iterator[None]:
    """Let the events of a message follow each other faster than a person could see."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivery, "PACE", 0.005)
        yield


@pytest.fixture(scope="session")
def shared_url(serve: Callable[[ASGIApp], str]) -> str:
    """One sandbox for all the tests that need none of their own."""
    return serve(create_sandbox())


@pytest.fixture(scope="session")
def cleaner(shared_url: str) -> Iterator[httpx.Client]:
    """One client for emptying: each new one costs 20 ms."""
    with httpx.Client(base_url=shared_url) as client:
        yield client


@pytest.fixture(autouse=True)
def emptied(cleaner: httpx.Client) -> None:
    """Begin each test with an empty mailbox."""
    cleaner.delete("/messages")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The tests of a module share a loop, and so the clients below."""
    return "asyncio"


@pytest.fixture(scope="module")
async def http(shared_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """The sandbox, for what the SDK has no method for."""
    async with httpx.AsyncClient(base_url=shared_url) as client:
        yield client


@pytest.fixture(scope="module")
async def poststack(shared_url: str) -> AsyncIterator[AsyncPostStack]:
    """The SDK in front of the sandbox, without retries: one answer is one outcome."""
    async with AsyncPostStack(API_KEY, base_url=shared_url, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
async def patient(shared_url: str) -> AsyncIterator[AsyncPostStack]:
    """The SDK as a service uses it: with its retries."""
    async with AsyncPostStack(API_KEY, base_url=shared_url, max_retries=3) as client:
        yield client


@pytest.fixture
def inbox(http: httpx.AsyncClient) -> Callable[..., Awaitable[list[Any]]]:
    """The messages of a sandbox, the shared one by default, newest first."""

    async def read(url: str = "", **query: str) -> list[Any]:
        answer = await http.get(f"{url}/messages", params=query)
        messages: list[Any] = answer.json()["messages"]
        return messages

    return read


@pytest.fixture
def until() -> Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]:
    """Ask again until the answer is true: for what happens in the background."""

    async def wait(ask: Callable[[], Awaitable[Any]]) -> Any:
        with anyio.fail_after(5):
            while True:
                if answer := await ask():
                    return answer
                await anyio.sleep(0.01)

    return wait


@pytest.fixture
def email() -> dict[str, Any]:
    """An email that is accepted."""
    return {
        "from": "Shop <shop@example.com>",
        "to": ["ada@example.com"],
        "subject": "Your receipt",
        "html": "<p>Total: 12.50 €</p>",
        "text": "Total: 12.50 €",
    }
