"""The road for mail of little worth: sent after the response, as long as there is room."""

import logging

from poststack import AsyncPostStack

from app import logs, metrics
from app.delivery import DeliveryError, TemporaryError, send
from app.messages import Message

ROOM = 500
"""Sends under way at once. FastAPI's background tasks have no limit of their own: behind a slow
PostStack they fill the memory, and the last is sent long after it was asked for."""

logger = logging.getLogger(__name__)


class Background:
    """The sends of this process that nobody waits for."""

    def __init__(self, poststack: AsyncPostStack, room: int = ROOM) -> None:
        self._poststack = poststack
        self._room = room

    def take_room(self) -> None:
        """Take the room for one `send`, which gives it back, or raise `TemporaryError`."""
        if self._room <= 0:
            raise TemporaryError("too many messages wait to be sent")
        self._room -= 1

    async def send(self, message: Message) -> None:
        """Send, with the log for the only witness of a failure."""
        try:
            await send(self._poststack, message)
        except DeliveryError as error:
            metrics.FAILED.inc()
            with logs.bound(**message.log_fields):
                # Without the stack trace, which would say nothing more.
                logger.error("not sent, and not tried again: %s", error)  # noqa: TRY400
        finally:
            self._room += 1
