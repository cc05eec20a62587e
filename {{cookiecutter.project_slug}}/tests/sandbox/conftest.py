"""A real sandbox on a real port, and the real SDK in front of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from poststack import AsyncPostStack, PostStackError
from starlette.types import ASGIApp

from sandbox.main import create_sandbox


@dataclass
class Caller:
    """What calls a sandbox: the SDK without its retries, and HTTP where the SDK has no method."""

    emails: Any
    suppressions: Any
    http: httpx.AsyncClient

    async def refusal(self, call: Awaitable[Any], status: int, code: str) -> PostStackError:
        """The error that a call of the SDK ends in, if it is the expected one."""
        with pytest.raises(PostStackError) as refused:
            await call
        assert (refused.value.status_code, refused.value.code) == (status, code)
        return refused.value

    async def messages(self, **query: Any) -> list[Any]:
        """The messages in the mailbox, newest first."""
        answer = await self.http.get("/messages", params=query)
        messages: list[Any] = answer.json()["messages"]
        return messages

    async def reaches(self, *events: str) -> list[Any]:
        """Wait until these are the last events of the messages, newest message first."""
        async with asyncio.timeout(5):
            while True:
                messages = await self.messages()
                if tuple(message["events"][-1]["type"] for message in messages) == events:
                    return messages
                await asyncio.sleep(0.01)


@pytest.fixture
async def connect(
    serve: Callable[[ASGIApp], str],
) -> AsyncIterator[Callable[..., Awaitable[Caller]]]:
    """Call a new sandbox with these options, for the time of a test."""
    async with AsyncExitStack() as stack:

        async def connect(**options: Any) -> Caller:
            url = serve(create_sandbox(event_interval=0.005, **options))
            sdk = AsyncPostStack("sk_test_sandbox", base_url=url, max_retries=0)
            headers = {"Authorization": "Bearer sk_test_sandbox"}
            http = httpx.AsyncClient(base_url=url, headers=headers)
            await stack.enter_async_context(http)
            await stack.enter_async_context(sdk)
            return Caller(sdk.emails, sdk.suppressions, http)

        yield connect


@pytest.fixture
async def sandbox(connect: Callable[..., Awaitable[Caller]]) -> Caller:
    """A sandbox of the test's own."""
    return await connect()


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
