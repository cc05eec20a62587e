"""The only module that calls PostStack's `emails.send`, and reads its answers."""

import asyncio
import logging
import re
from base64 import b64encode
from typing import Any

import httpx
from poststack import AsyncPostStack, PostStackError

from app import metrics
from app.addresses import split_name
from app.logging import log_context
from app.mail.errors import (
    ConflictError,
    MailError,
    PermanentError,
    RecipientError,
    TransientError,
)
from app.mail.message import Message, utc_now
from app.text import printable

SEND_TIMEOUT = 20.0
"""Seconds for one `send`: the SDK's own retries alone could hold a caller for 300."""

QUOTA_CODES = re.compile("(quota|monthly_limit|daily_limit|daily_cap|send_limit)_exceeded")
"""The 429s that waiting does not lift, as the SDK lists them in `poststack._client` (0.9.0)."""

logger = logging.getLogger(__name__)


async def send(
    poststack: AsyncPostStack, message: Message, *, seconds: float = SEND_TIMEOUT
) -> str:
    """Hand the message to PostStack within so many seconds; return PostStack's id for it.

    Accepted is not delivered: whether the receiving server took it, a webhook reports later.
    Raises `TransientError` or `PermanentError` and nothing else.
    """
    with log_context(**message.log_fields):
        try:
            async with asyncio.timeout(seconds):
                answer = await poststack.emails.send(payload(message))
        except PostStackError as error:
            raise error_of(error, message) from error
        # The last is an answer whose JSON is nested too deeply.
        except (httpx.HTTPError, TimeoutError, ValueError, RecursionError) as error:
            logger.warning("PostStack not reached: %r", error)
            raise TransientError(f"PostStack not reached: {error!r}") from error
        match answer:
            case {"id": str(email_id)}:
                record_acceptance(message, email_id)
                return email_id
        logger.warning("PostStack's answer has no email id")
        raise TransientError("PostStack's answer has no email id")


def record_acceptance(message: Message, email_id: str) -> None:
    """Count and log that PostStack has the message."""
    seconds = (utc_now() - message.created_at).total_seconds()
    metrics.ACCEPTED.inc()
    metrics.SECONDS.observe(seconds)
    with log_context(**message.log_fields, email_id=email_id):
        logger.info("accepted by PostStack after %.3f s", seconds)


def payload(message: Message) -> dict[str, Any]:
    """Write the message as PostStack's `POST /emails` takes it, without what it has not."""
    optional = {
        "cc": list(message.cc),
        "bcc": list(message.bcc),
        "reply_to": message.reply_to,
        "headers": message.headers,
        "tags": list(message.tags or ()),
        "attachments": [
            {
                "filename": attachment.filename,
                "content": b64encode(attachment.content).decode(),
                "content_type": attachment.content_type,
            }
            for attachment in message.attachments
        ],
        "scheduled_at": message.scheduled_at
        and message.scheduled_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "unsubscribe": message.unsubscribe,
        "tracking": message.tracking and message.tracking.model_dump(),
    }
    return {
        "from": message.sender,
        "to": [message.recipient],
        "subject": message.subject,
        "html": message.html,
        "text": message.text,
        **{name: value for name, value in optional.items() if value},
        "idempotency_key": message.idempotency_key,
        # The longest that PostStack offers; a queue stops retrying before it closes.
        "idempotency_window_hours": 72,
    }


def error_of(error: PostStackError, message: Message) -> MailError:
    """Log what PostStack answered, and return what the caller can do about it."""
    words = redact(str(error.error), message)  # whatever its JSON has there
    status, code, request = error.status_code, error.code, error.request_id
    answer = f"PostStack answered {status} {code}: {words} (request {request})"
    transient = is_transient(error)
    with log_context(**message.log_fields):
        logger.log(logging.WARNING if transient else logging.ERROR, answer)
    if transient:
        return TransientError(answer, error.retry_after)
    metrics.REFUSED.inc()
    # A 422 in PostStack's changelog, without a code that would tell it from the others.
    if status in (409, 422) and "idempotency" in words.lower():
        return ConflictError(answer)
    return (RecipientError if blames_recipient(error, message) else PermanentError)(answer)


def redact(words: str, message: Message) -> str:
    """Take out of PostStack's words what no log and no queue needs to know."""
    # An initial names nobody, and would be found in every word.
    names = [name for name, _ in map(split_name, message.recipients) if len(name) > 2]
    for pattern, name in (
        (re.escape(message.subject), "<subject>"),
        *((re.escape(name), "<name>") for name in names),
        (r"[^\s<>\"'`,;:()]+@[^\s<>\"'`,;:()]+", "<address>"),
        (r"\b(sk|whsec)_\w+", "<secret>"),
    ):
        words = re.sub(pattern, name, words, flags=re.IGNORECASE)
    return printable(words)


def is_transient(error: PostStackError) -> bool:
    """Tell throttling and outages from refusals, by the rules of the SDK's own retries."""
    if error.status_code == httpx.codes.TOO_MANY_REQUESTS:
        code = str(error.code or "")
        return not (QUOTA_CODES.fullmatch(code) or (code and error.retry_after is None))
    return error.status_code == httpx.codes.REQUEST_TIMEOUT or error.status_code >= 500


def blames_recipient(error: PostStackError, message: Message) -> bool:
    """Tell a recipient's fault from the sender's, for which PostStack has one code.

    So its words decide: they name the address, or speak of a recipient or a suppression.
    """
    words = str(error.error).lower()
    addresses = [address.lower() for _, address in map(split_name, message.recipients)]
    return error.status_code in (400, 422) and (
        any(address in words for address in addresses)
        or re.search("recipient|suppress", words) is not None
    )
