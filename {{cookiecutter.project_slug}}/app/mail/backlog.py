"""How much mail may be on its way at once, so that it does not fill the memory."""

import asyncio
from asyncio import Semaphore
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from app.mail.errors import TransientError
from app.mail.message import Message

MAX_PENDING = 500
"""Background sends at once. FastAPI's background tasks have no limit of their own: behind a slow
PostStack they fill the memory, and the last is sent long after it was asked for."""

MAX_PENDING_BYTES = 64 * 2**20
"""Of their attachments, together."""

MAX_LARGE = 4
"""Messages with attachments that are sent at once: each has them some five times in memory, as
bytes, as base64, and in the JSON."""

TIMEOUT = 2.5
"""Seconds that a caller waits until it is the turn of such a message."""


@dataclass(slots=True)
class Backlog:
    """What this process has to send."""

    max_pending: int = MAX_PENDING
    max_bytes: int = MAX_PENDING_BYTES
    pending: int = 0
    size: int = 0
    timeout: float = TIMEOUT
    large: Semaphore = field(default_factory=lambda: Semaphore(MAX_LARGE))

    def check(self) -> None:
        """Raise `TransientError` while there is too much in the background."""
        if self.pending >= self.max_pending or self.size >= self.max_bytes:
            raise TransientError("too many messages wait to be sent")

    @contextmanager
    def hold(self, message: Message) -> Iterator[None]:
        """Count a message while it is being sent in the background."""
        self.pending += 1
        self.size += message.size
        try:
            yield
        finally:
            self.pending -= 1
            self.size -= message.size

    @asynccontextmanager
    async def turn(self, message: Message, *, in_background: bool = False) -> AsyncIterator[None]:
        """Wait, if the message has attachments, until it may be sent.

        Raises `TransientError` if that takes too long, and is not in the background.
        """
        if not message.attachments:
            yield
            return
        try:
            async with asyncio.timeout(None if in_background else self.timeout):
                await self.large.acquire()
        except TimeoutError:
            raise TransientError("too many messages with attachments are being sent") from None
        try:
            yield
        finally:
            self.large.release()
