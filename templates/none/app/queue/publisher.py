"""How a message gets from `Mailer.enqueue` to PostStack: the caller waits for it.

PostStack's answer is the caller's answer, so nothing is lost in silence. A queue becomes worth
its upkeep when callers must not wait for PostStack, or must not fail while it is away.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from poststack import AsyncPostStack

from app.database import Database
from app.mail.delivery import deliver
from app.mail.log import MailLog
from app.mail.mailer import Publisher
from app.mail.message import Message
from app.settings import Settings


class DirectPublisher:
    """Hands messages to PostStack at once."""

    def __init__(self, poststack: AsyncPostStack, log: MailLog) -> None:
        self._poststack = poststack
        self._log = log

    async def publish(self, message: Message) -> None:
        """Return once PostStack has accepted the message; otherwise raise `MailError`."""
        await deliver(self._poststack, self._log, message)

    async def check(self) -> None:
        """Return: there is no queue, and PostStack's outage is told to each caller."""


@asynccontextmanager
async def open_publisher(
    _settings: Settings, _database: Database, poststack: AsyncPostStack, log: MailLog
) -> AsyncIterator[Publisher]:
    """Open nothing: the client is the API's own."""
    yield DirectPublisher(poststack, log)
