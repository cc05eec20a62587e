"""Many messages in few calls, each with its own recipient, idempotency key and outcome."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
from poststack import AsyncPostStack, PostStackError

from app.mail.errors import MailError, TransientError
from app.mail.message import Message
from app.mail.sender import SEND_TIMEOUT, error_of, payload, record_acceptance, send

MAX_BATCH_SIZE = 100
"""Messages in one call, by PostStack's documentation of `POST /emails/batch`."""

MAX_BATCH_BYTES = 10_000_000
"""Of attachments in one call, if it has more than one message: all of it is in memory at once."""

logger = logging.getLogger(__name__)


async def send_in_batches(
    poststack: AsyncPostStack, messages: Sequence[Message]
) -> list[str | MailError]:
    """Return in the same order PostStack's email id for each message, or its error."""
    outcomes: list[str | MailError] = []
    for batch in batches(messages):
        outcomes += await send_batch(poststack, batch)
    return outcomes


def batches(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """Divide messages into as few calls as the two limits allow, in their order."""
    batch: list[Message] = []
    size = 0
    for message in messages:
        size += message.size
        if batch and (len(batch) == MAX_BATCH_SIZE or size > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], message.size
        batch.append(message)
    if batch:
        yield batch


async def send_batch(
    poststack: AsyncPostStack, messages: Sequence[Message]
) -> list[str | MailError]:
    """Make one call for at most `MAX_BATCH_SIZE` messages.

    What it does not clearly accept is sent once more by itself, under the same key: PostStack
    documents what its answers mean for one message, and not for many.
    """
    items: list[Any] = []
    try:
        async with asyncio.timeout(SEND_TIMEOUT):
            match await poststack.emails.batch({"emails": [payload(each) for each in messages]}):
                case {"data": list(data)}:
                    items = data
    except PostStackError as error:
        if error.status_code not in (400, 409, 413, 422):
            return [error_of(error, message) for message in messages]
        logger.warning("a batch of %d was refused: %d", len(messages), error.status_code)
    except (httpx.HTTPError, TimeoutError, ValueError) as error:
        logger.warning("PostStack not reached with a batch of %d: %r", len(messages), error)
        return [TransientError(f"PostStack not reached: {error!r}") for _ in messages]
    if len(items) != len(messages):
        items = [None] * len(messages)
    return await asyncio.gather(
        *(outcome(poststack, *pair) for pair in zip(messages, items, strict=True))
    )


async def outcome(poststack: AsyncPostStack, message: Message, item: Any) -> str | MailError:
    """Take what the batch's answer says of a message, or send this one alone."""
    match item:
        case {"id": str(email_id)}:
            record_acceptance(message, email_id)
            return email_id
    try:
        return await send(poststack, message)
    except MailError as error:
        return error
