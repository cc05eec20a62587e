"""The client: PostStack's SDK over connections that hold under load, and that break like any."""

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
import respx
from poststack import AsyncPostStack

from app.client import open_poststack
from app.delivery import TemporaryError, payload, send
from app.messages import Message
from app.settings import Settings

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ACCEPTED = (
    b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n"
)
BODY = b'{"id": "em_1"}'


@asynccontextmanager
async def serving(listener: socket.socket, serve: Serve) -> AsyncIterator[list[bytes]]:
    """Serve connections byte by byte; yields the heads of the requests as they arrive."""
    heads: list[bytes] = []
    writers: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
                heads.append(head)
                await serve(reader, writer)

    server = await asyncio.start_server(connected, sock=listener)
    yield heads
    server.close()
    for writer in writers:
        writer.close()
        await writer.wait_closed()


async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the mail, after a while."""
    await asyncio.sleep(0.02)
    writer.write(ACCEPTED % (len(BODY), b"") + BODY)


async def test_same_as_the_sdk(
    settings: Settings, poststack: AsyncPostStack, wire: respx.Route, message: Message
) -> None:
    """What leaves is what the SDK sends by itself: a new SDK that asks for more is noticed."""
    url, key = settings.poststack_base_url, settings.poststack_api_key.get_secret_value()
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
    connections = set()

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer.get_extra_info("peername"))
        await accept(reader, writer)

    async with serving(listener, count) as heads, open_poststack(settings) as poststack:
        for _ in range(3):
            await asyncio.gather(*(send(poststack, message) for _ in range(120)))

    assert len(heads) == 360
    assert len(connections) == 120


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 202 Accepted\r\n", b"not HTTP\r\n\r\n"])
async def test_broken_answer(
    answer: bytes, listener: socket.socket, settings: Settings, message: Message
) -> None:
    """An answer that breaks off, or is none, is temporary."""

    async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    async with serving(listener, cut), open_poststack(settings, max_retries=0) as poststack:
        with pytest.raises(TemporaryError):
            await send(poststack, message)


async def test_no_json(poststack: AsyncPostStack, wire: respx.Route, message: Message) -> None:
    """An answer that speaks of success in other words, as a proxy's may, is temporary."""
    wire.respond(200, html="<p>Welcome")
    with pytest.raises(TemporaryError, match="no email id"):
        await send(poststack, message)


async def test_refused(poststack: AsyncPostStack, message: Message) -> None:
    """A PostStack that is not there is temporary."""
    with pytest.raises(TemporaryError):
        await send(poststack, message)


async def test_silence(listener: socket.socket, settings: Settings) -> None:
    """One attempt has its own deadline, however long the others may take."""

    async def nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()  # until the caller leaves

    async with serving(listener, nothing), open_poststack(settings, max_retries=0) as poststack:
        with pytest.raises(httpx.TransportError, match="Timeout"):
            await poststack.emails.send({}, timeout=0.05)


async def test_compressed_answer(
    listener: socket.socket, settings: Settings, message: Message
) -> None:
    """A compressed answer is read as any other."""
    body = gzip.compress(BODY)

    async def compress(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ACCEPTED % (len(body), b"content-encoding: gzip\r\n") + body)

    async with serving(listener, compress), open_poststack(settings) as poststack:
        assert await send(poststack, message) == "em_1"


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
async def test_proxy(
    variable: str,
    listener: socket.socket,
    settings: Settings,
    message: Message,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A proxy of the environment is asked, with the password in its URL."""
    monkeypatch.setenv(variable, settings.poststack_base_url.replace("//", "//proxy:secret@"))
    elsewhere = settings.model_copy(update={"poststack_base_url": "http://api.poststack.test"})

    async with serving(listener, accept) as heads, open_poststack(elsewhere) as poststack:
        assert await send(poststack, message) == "em_1"

    [head] = heads
    assert head.startswith(b"post http://api.poststack.test/emails http/1.1\r\n")
    assert b"\r\nproxy-authorization: basic " in head


async def test_no_proxy(
    settings: Settings, wire: respx.Route, message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_PROXY lists the hosts that are asked without."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    async with open_poststack(settings) as poststack:
        await send(poststack, message)

    assert wire.called
