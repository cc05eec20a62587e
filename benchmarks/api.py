"""A stand-in for PostStack's API that is never the bottleneck: it answers after a fixed latency.

    python -m benchmarks.api PORT [--latency 0.02] [--tls CERTIFICATE KEY]

It speaks just enough HTTP/1.1 for the clients that are measured here, on uvloop, and does no work
for a mail. `GET /stats` says how many mails and connections there were since `DELETE /stats`.
Not nginx, which has no latency without a module.
"""

import argparse
import asyncio
import itertools
import json
import ssl
import time
from typing import Any, cast

import uvloop


class Stats:
    """What arrived."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.mails = 0
        self.connections = 0
        self.first = self.last = 0.0
        self.delays: list[float] = []

    def count(self, body: bytes, number: int) -> None:
        """Count the mails of one request; note how old those are that say when they began."""
        self.last = time.monotonic()
        self.first = self.first or self.last
        self.mails += number
        if (mark := body.find(b"began=")) >= 0:
            began = float(body[mark + 6 : mark + 26].split(b"=")[0])
            self.delays.append(time.time() - began)

    def document(self) -> dict[str, Any]:
        """Return the counts; the times are in seconds."""
        return {
            "mails": self.mails,
            "connections": self.connections,
            "seconds": self.last - self.first,
            "delays": self.delays,
        }


class Api(asyncio.Protocol):
    """One connection."""

    stats = Stats()
    numbers = itertools.count()

    def __init__(self, latency: float) -> None:
        """Say how long an answer takes, in seconds."""
        self._latency = latency
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection; it is counted with its first mail."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._counted = False

    def data_received(self, data: bytes) -> None:
        """Answer every complete request."""
        self._buffer += data
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end].lower()
            mark = head.find(b"content-length:")
            length = int(head[mark + 15 :].split(b"\r\n", 1)[0]) if mark >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"get /stats"):
            self._write(Api.stats.document())
        elif head.startswith(b"delete /stats"):
            Api.stats = Stats()
            self._write({})
        else:
            if not self._counted:
                self._counted = True
                Api.stats.connections += 1
            batch = head.startswith(b"post /emails/batch")
            number = len(json.loads(body)["emails"]) if batch else 1
            Api.stats.count(body, number)
            ids = [{"id": f"em_{next(Api.numbers)}"} for _ in range(number)]
            answer: dict[str, Any] = {"data": ids} if batch else ids[0]
            if self._latency:
                asyncio.get_running_loop().call_later(self._latency, self._write, answer)
            else:
                self._write(answer)

    def _write(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        head = b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: "
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(head + str(len(body)).encode() + b"\r\n\r\n" + body)


async def serve(port: int, latency: float, context: ssl.SSLContext | None) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Api(latency), "127.0.0.1", port, ssl=context, backlog=1024
    )
    await server.serve_forever()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("port", type=int)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    options = parser.parse_args()
    context = None
    if options.tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*options.tls)
    uvloop.run(serve(options.port, options.latency, context))


if __name__ == "__main__":
    main()
