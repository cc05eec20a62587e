"""A closed-loop load of HTTP requests: each caller has one connection and one request at a time."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any, cast

import uvloop

Body = Callable[[int], dict[str, Any]]
"""From the number of a request to its JSON."""


@dataclass
class Outcome:
    """What callers saw."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    """Of the requests that were accepted, in seconds."""
    refused: list[float] = field(default_factory=list)
    """Of those that were answered 503, in seconds."""
    errors: int = 0
    """Every other answer, and every connection that broke."""

    @property
    def rate(self) -> float:
        """Accepted requests a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: int) -> float:
        """Return the latency, in seconds, that so many percent of the accepted stay under."""
        if len(self.latencies) < 2:
            return float("nan")
        return quantiles(self.latencies, n=100, method="inclusive")[percent - 1]


class Caller(asyncio.Protocol):
    """One caller: sends, waits for the answer, sends the next."""

    def __init__(self, outcome: Outcome, next_request: Callable[[], bytes], until: float) -> None:
        """Share the outcome with the other callers."""
        self._outcome = outcome
        self._next_request = next_request
        self._until = until
        self._buffer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._send()

    def _send(self) -> None:
        self._began = time.perf_counter()
        if self._began >= self._until:
            self._transport.close()
            return
        self._transport.write(self._next_request())

    def data_received(self, data: bytes) -> None:
        """Take an answer, and go on when it is complete."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        length = int(head[head.index(b"content-length:") + 15 :].split(b"\r\n", 1)[0])
        if len(self._buffer) < end + 4 + length:
            return
        self._buffer = b""
        seconds = time.perf_counter() - self._began
        status = head[9:12]
        if self._began + seconds <= self._until:
            if status.startswith(b"2"):
                self._outcome.latencies.append(seconds)
            elif status == b"503":
                self._outcome.refused.append(seconds)
            else:
                self._outcome.errors += 1
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits for the end."""
        if exc is not None:
            self._outcome.errors += 1
        if not self.done.done():
            self.done.set_result(None)


def load(  # noqa: PLR0913  a load has so many properties
    port: int,
    path: str,
    *,
    callers: int,
    seconds: float,
    body: Body,
    key: str = "",
    at_end: Callable[[], object] | None = None,
) -> Outcome:
    """Post to a local service for some seconds, and return what the callers saw.

    Answers that come after the end are not counted, but waited for, so that the next load meets an
    idle service; or else `at_end` is called, at that very moment.
    """
    outcome = Outcome(seconds)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
        "content-type: application/json\r\ncontent-length: "
    ).encode()
    numbers = itertools.count(1)

    def next_request() -> bytes:
        content = json.dumps(body(next(numbers))).encode()
        return head + str(len(content)).encode() + b"\r\n\r\n" + content

    async def run() -> None:
        loop = asyncio.get_running_loop()
        until = time.perf_counter() + seconds

        def caller() -> Caller:
            return Caller(outcome, next_request, until)

        made = [await loop.create_connection(caller, "127.0.0.1", port) for _ in range(callers)]
        await asyncio.sleep(until - time.perf_counter())
        if at_end:
            at_end()
        else:
            await asyncio.wait([protocol.done for _, protocol in made], timeout=15)
        for transport, _ in made:
            transport.close()

    uvloop.run(run())
    return outcome
