"""The client: PostStack's SDK over connections that hold under load, and that break like any."""

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from poststack import AsyncPostStack
from respx import Route

from app.mail.client import open_poststack
from app.mail.message import Message
from app.mail.sender import payload, send
from app.settings import Settings

BODY = gzip.compress(b'{"id": "em_1"}')
ACCEPTED = b"""HTTP/1.1 202 Accepted\r
content-type: application/json\r
content-encoding: gzip\r
content-length: %d\r
\r
%b""" % (len(BODY), BODY)


@asynccontextmanager
async def serving(
    listener: socket.socket,
) -> AsyncIterator[tuple[list[bytes], list[asyncio.StreamWriter]]]:
    """Accept all mail, byte by byte; yields the requests' heads, and the connections."""
    heads: list[bytes] = []
    connections: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                heads.append((await reader.readuntil(b"\r\n\r\n")).lower())
                length = heads[-1].partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
                await asyncio.sleep(0.02)
                writer.write(ACCEPTED)

    server = await asyncio.start_server(connected, sock=listener)
    yield heads, connections
    server.close()
    for writer in connections:
        writer.close()
        await writer.wait_closed()


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


async def test_connections(listener: socket.socket, settings: Settings, message: Message) -> None:
    """There are as many connections as sends at once, and they stay.

    With httpx's pool it would be one for each send; with aiohttp's own limit some sends would wait
    for as long as others go on: of 150 callers, some for all of five seconds.
    """
    async with serving(listener) as (heads, connections), open_poststack(settings) as poststack:
        for _ in range(3):
            await asyncio.gather(*(send(poststack, message) for _ in range(120)))

    assert (len(heads), len(connections)) == (360, 120)


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
async def test_proxy(
    variable: str,
    listener: socket.socket,
    settings: Settings,
    message: Message,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The environment's proxy is asked, with the password in its URL, but for NO_PROXY's hosts."""
    monkeypatch.setenv(variable, settings.base_url().replace("//", "//proxy:secret@"))

    async with serving(listener) as (heads, _):
        for excepted in ("elsewhere.test", "127.0.0.1"):
            monkeypatch.setenv("no_proxy", excepted)
            async with open_poststack(settings) as poststack:
                assert await send(poststack, message) == "em_1"

    asked, direct = heads
    assert asked.startswith(f"post {settings.base_url()}/emails http/1.1\r\n".encode())
    assert b"\r\nproxy-authorization: basic " in asked
    assert direct.startswith(b"post /emails http/1.1\r\n")
    assert b"proxy-authorization" not in direct
