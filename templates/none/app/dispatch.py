"""How a message gets from a request to `send`: the caller waits for it.

PostStack's answer is the caller's answer, so nothing is lost in silence. A queue becomes worth
its upkeep when callers must not wait for PostStack, or must not fail while it is away.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from poststack import AsyncPostStack

from app.delivery import send
from app.messages import Message
from app.settings import Settings

DispatchSettings = Settings
"""Without a queue there is nothing to add to the service's own settings."""


class Dispatch:
    """The road for mail that must not be lost: straight to PostStack."""

    def __init__(self, poststack: AsyncPostStack) -> None:
        self._poststack = poststack

    async def __call__(self, message: Message) -> None:
        """Return once PostStack has accepted the message; otherwise raise `DeliveryError`."""
        await send(self._poststack, message)

    async def ready(self) -> None:
        """Return: there is no queue to ask, and PostStack's outage is told to each caller."""


@asynccontextmanager
async def open_dispatch(
    _settings: DispatchSettings, poststack: AsyncPostStack
) -> AsyncIterator[Dispatch]:
    """Open the road."""
    yield Dispatch(poststack)
