"""A Redis for the tests, and a way to it that fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import redis


def unused_database() -> str | None:
    """Find one in a Redis on this machine's usual port."""
    try:
        with redis.Redis(socket_connect_timeout=1, socket_timeout=1) as client:
            used = client.info("keyspace")
    except redis.RedisError:
        return None
    unused = [number for number in range(15, 0, -1) if f"db{number}" not in used]
    return f"redis://127.0.0.1:6379/{unused[0]}" if unused else None


@asynccontextmanager
async def relay(redis_url: str, port: int = 0, failure: str = "") -> AsyncIterator[str]:
    """A way to Redis that is cut in the end, and at the first EXEC "dies" once, or "freezes"."""
    target = urlsplit(redis_url)
    writers = set()
    failing = ""

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
                if not failing and b"EXEC" in data:
                    failing = failure
                    if failing == "dies":
                        break
                if failing != "freezes":
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
