"""The client: PostStack's SDK over connections that hold under load, and that break like any."""

import asyncio
import json

import pytest
from httpx import Request, Response
from poststack import AsyncPostStack
from respx import Route

from app.mail.client import open_poststack
from app.mail.message import Message
from app.mail.sender import payload, send
from app.settings import Settings


async def test_same_as_the_sdk(
    settings: Settings, poststack: AsyncPostStack, wire: Route, message: Message
) -> None:
    """What leaves is what the SDK sends by itself: a new SDK that asks for more is noticed."""
    url, key = settings.base_url(), settings.poststack_api_key.get_secret_value()
    async with AsyncPostStack(key, base_url=url) as theirs:
        await theirs.emails.send(payload(message))
    await poststack.emails.send(payload(message))

    expected, ours = (call.request for call in wire.calls)
    assert json.loads(ours.content) == json.loads(expected.content)
    for name in ("authorization", "content-type", "user-agent"):
        assert ours.headers[name] == expected.headers[name]
    assert len(ours.headers["idempotency-key"]) == len(expected.headers["idempotency-key"])


async def test_connections(settings: Settings, wire: Route, message: Message) -> None:
    """There are as many connections as sends at once, and they stay.

    With httpx's pool it would be one for each send; with aiohttp's own limit some sends would wait
    for as long as others go on: of 150 callers, some for all of five seconds.
    """

    async def slow(_: Request) -> Response:
        await asyncio.sleep(0.02)
        return Response(202, json={"id": "em_1"})

    wire.mock(side_effect=slow)
    async with open_poststack(settings) as poststack:
        for _ in range(3):
            await asyncio.gather(*(send(poststack, message) for _ in range(120)))

    connections = [call.request.extensions["client"] for call in wire.calls]
    assert (len(connections), len(set(connections))) == (360, 120)


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
async def test_proxy(
    variable: str,
    settings: Settings,
    wire: Route,
    message: Message,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The environment's proxy is asked, with the password in its URL, but for NO_PROXY's hosts."""
    monkeypatch.setenv(variable, settings.base_url().replace("//", "//proxy:secret@"))

    for excepted in ("elsewhere.test", "127.0.0.1"):
        monkeypatch.setenv("no_proxy", excepted)
        async with open_poststack(settings) as poststack:
            assert await send(poststack, message) == "em_1"

    asked, direct = (call.request for call in wire.calls)
    assert asked.extensions["target"] == f"{settings.base_url()}/emails"
    assert asked.headers["proxy-authorization"].startswith("Basic ")
    assert direct.extensions["target"] == "/emails"
    assert "proxy-authorization" not in direct.headers
