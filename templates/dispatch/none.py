"""How a message gets from a request to `send`: the caller waits for it.

PostStack's answer is the caller's answer, so nothing is lost in silence. A queue becomes worth
its upkeep when callers must not wait for PostStack, or must not fail while it is away.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from poststack import AsyncPostStack

from app.delivery import send
from app.messages import Message
from app.settings import Settings

DispatchSettings = Settings
"""Without a queue there is nothing to add to the service's own settings."""

Dispatch = Callable[[Message], Awaitable[None]]
"""When it returns, PostStack has accepted the message; otherwise it raises `DeliveryError`."""


@asynccontextmanager
async def open_dispatch(
    _settings: DispatchSettings, poststack: AsyncPostStack
) -> AsyncIterator[Dispatch]:
    """Open the road for mail that must not be lost."""

    async def dispatch(message: Message) -> None:
        await send(poststack, message)

    yield dispatch
