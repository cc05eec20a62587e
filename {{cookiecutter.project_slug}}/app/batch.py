"""Many messages in few calls, each with its own recipient, idempotency key and outcome."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import httpx
from poststack import AsyncPostStack, PostStackError

from app import logs
from app.delivery import (
    DEADLINE,
    DeliveryError,
    TemporaryError,
    note_acceptance,
    payload,
    refusal,
    send,
)
from app.messages import Message

MOST = 100
"""Messages in one call, by PostStack's documentation of `POST /emails/batch`."""

logger = logging.getLogger(__name__)


async def send_many(
    poststack: AsyncPostStack, messages: Sequence[Message]
) -> list[str | DeliveryError]:
    """Send, and return in the same order PostStack's id for each message or what went wrong.

    What failed with `TemporaryError` may be given to this function again. Check suppressions
    before, as the routes do.
    """
    outcomes: list[str | DeliveryError] = []
    for start in range(0, len(messages), MOST):
        outcomes += await send_batch(poststack, messages[start : start + MOST])
    return outcomes


async def send_batch(
    poststack: AsyncPostStack, messages: Sequence[Message]
) -> list[str | DeliveryError]:
    """Make one call.

    What it does not clearly accept is sent once more by itself, under the same key: PostStack
    documents what its answers mean for one message, and not for many.
    """
    items: list[Any] = []
    try:
        async with asyncio.timeout(DEADLINE):
            match await poststack.emails.batch({"emails": [payload(each) for each in messages]}):
                case {"data": list(data)}:
                    items = data
    except PostStackError as error:
        if error.status_code not in (400, 409, 413, 422):
            return [refusal_of(message, error) for message in messages]
        logger.warning("a batch of %d was refused: %d", len(messages), error.status_code)
    except (httpx.HTTPError, TimeoutError, ValueError) as error:
        logger.warning("PostStack not reached with a batch of %d: %r", len(messages), error)
        return [TemporaryError(f"PostStack not reached: {error!r}") for _ in messages]
    if len(items) != len(messages):
        items = [None] * len(messages)
    return await asyncio.gather(
        *(settle(poststack, *pair) for pair in zip(messages, items, strict=True))
    )


def refusal_of(message: Message, error: PostStackError) -> DeliveryError:
    """Take what befell the call for what befell this message."""
    with logs.bound(**message.log_fields):
        return refusal(error, message)


async def settle(poststack: AsyncPostStack, message: Message, item: Any) -> str | DeliveryError:
    """Take what the batch says of a message, or ask again for this one alone."""
    match item:
        case {"id": str(email_id)}:
            note_acceptance(message, email_id)
            return email_id
    try:
        return await send(poststack, message)
    except DeliveryError as error:
        return error
