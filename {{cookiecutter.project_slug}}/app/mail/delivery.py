"""One attempt at a message: hand it to PostStack, and write into the mail log what became of it."""

import logging

from poststack import AsyncPostStack

from app.database import DatabaseError
from app.logging import log_context
from app.mail.errors import MailError, PermanentError, TransientError
from app.mail.log import MailLog, Outcome, SendStatus
from app.mail.message import Message
from app.mail.sender import SEND_TIMEOUT, send

logger = logging.getLogger(__name__)


async def deliver(
    poststack: AsyncPostStack,
    log: MailLog,
    message: Message,
    *,
    attempt: int | None = None,
    seconds: float = SEND_TIMEOUT,
) -> str:
    """Send within so many seconds, and return PostStack's id for the message. Raises `MailError`.

    `attempt` counts those of a queue, from 1. The mail comes first: without the database it is
    sent, and its row is missing. The queue makes another attempt then, which PostStack drops as a
    repeat, and which completes the log.
    """
    attempts = attempt or 1
    try:
        email_id = await send(poststack, message, seconds=seconds)
    except MailError as error:
        status = status_after(error)
        if status == "failed" and attempt:
            status = "queued"
        await record(log, message, Outcome(status, reason=str(error), attempts=attempts))
        raise
    accepted = Outcome("accepted", email_id, attempts=attempts)
    if not await record(log, message, accepted) and attempt:
        raise TransientError("accepted by PostStack, but the mail log could not be written")
    return email_id


def status_after(error: MailError) -> SendStatus:
    """Return what has become of a message that PostStack has not accepted, and nobody repeats."""
    return "refused" if isinstance(error, PermanentError) else "failed"


async def record(log: MailLog, message: Message, outcome: Outcome) -> bool:
    """Write into the mail log; return whether that was possible."""
    try:
        await log.record(message, outcome)
    except DatabaseError as error:
        with log_context(**message.log_fields):
            logger.warning("%s, but not in the mail log: %s", outcome.status, error)
        return False
    return True
