"""The only module that calls PostStack's `emails.send`, and what can go wrong there.

Every failure of `send` is a `DeliveryError`:

    TemporaryError          the same message may be sent again, after a while
    PermanentError          sending it again cannot help; something must be changed first
        ConflictError       a mail with other content went out under this idempotency key
        RecipientError      the recipient's address is at fault
            SuppressedError     which we know by ourselves
"""

import asyncio
import logging
import random
import re
from typing import Any

import httpx
from poststack import AsyncPostStack, PostStackError

from app import logs, metrics
from app.messages import Message, now

DEADLINE = 20.0
"""Seconds for one `send`: the SDK's own retries alone could hold a caller for 300."""

QUOTA_CODES = frozenset(
    {
        "quota_exceeded",
        "monthly_limit_exceeded",
        "daily_limit_exceeded",
        "daily_cap_exceeded",
        "send_limit_exceeded",
    }
)
"""The 429s that waiting does not lift, as the SDK lists them in `poststack._client` (0.9.0)."""

logger = logging.getLogger(__name__)


class DeliveryError(Exception):
    """PostStack has not accepted the message, as far as we know."""


class TemporaryError(DeliveryError):
    """Sending again may help, and cannot double the mail: the idempotency key stays the same.

    `retry_after` is in seconds, and `None` when nobody named a time.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after

    def delay(self, attempt: int = 1) -> float:
        """Return the seconds to wait after this `attempt`, the first being 1.

        PostStack's wish of up to a day, or exponential backoff up to five minutes; with jitter, so
        that what failed together does not come back together.
        """
        jitter = random.random()  # noqa: S311  it guards no secret
        if self.retry_after is not None:
            return min(86_400.0, self.retry_after) + jitter  # in this order NaN is a day, too
        return min(2.0 ** min(attempt, 9), 300.0) * (1 + jitter) / 2


class PermanentError(DeliveryError):
    """PostStack refuses the message as it is, for a fault on our side."""


class ConflictError(PermanentError):
    """PostStack has a different message under this idempotency key."""


class RecipientError(PermanentError):
    """PostStack refuses the recipient: the address is malformed or suppressed."""


class SuppressedError(RecipientError):
    """PostStack was not asked: since the mail `email_id` there must be no other."""

    def __init__(self, reason: str, email_id: str) -> None:
        super().__init__(f"suppressed: {reason}")
        self.email_id = email_id


async def send(poststack: AsyncPostStack, message: Message, *, deadline: float = DEADLINE) -> str:
    """Hand the message to PostStack and return PostStack's id for it.

    Accepted is not delivered: whether the receiving server took it, a webhook tells later.
    Raises `TemporaryError` or `PermanentError` and nothing else.
    """
    with logs.bound(**message.log_fields):
        try:
            async with asyncio.timeout(deadline):
                answer = await poststack.emails.send(payload(message))
        except PostStackError as error:
            raise refusal(error, message) from error
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            logger.warning("PostStack not reached: %r", error)
            raise TemporaryError(f"PostStack not reached: {error!r}") from error
        match answer:
            case {"id": str(email_id)}:
                note_acceptance(message, email_id)
                return email_id
            case _:
                logger.warning("PostStack's answer has no email id")
                raise TemporaryError("PostStack's answer has no email id")


def note_acceptance(message: Message, email_id: str) -> None:
    """Count and log that PostStack has the message."""
    seconds = (now() - message.accepted_at).total_seconds()
    metrics.ACCEPTED.inc()
    metrics.SECONDS.observe(seconds)
    with logs.bound(**message.log_fields, email_id=email_id):
        logger.info("accepted by PostStack after %.3f s", seconds)


def payload(message: Message) -> dict[str, Any]:
    """Put the message into the words of PostStack's `POST /emails`."""
    return {
        "from": message.sender,
        "to": [message.recipient],
        "subject": message.subject,
        "html": message.html,
        "text": message.text,
        "idempotency_key": message.idempotency_key,
        # The longest that PostStack offers; a queue stops retrying before it closes.
        "idempotency_window_hours": 72,
    }


def refusal(error: PostStackError, message: Message) -> DeliveryError:
    """Log what PostStack answered, and say what the caller can do about it."""
    words = redact(error.error, message)
    answer = (
        f"PostStack answered {error.status_code} {error.code}: {words} (request {error.request_id})"
    )
    temporary = is_temporary(error)
    level = logging.WARNING if temporary else logging.ERROR
    logger.log(level, answer)
    if temporary:
        return TemporaryError(answer, error.retry_after)
    metrics.REFUSED.inc()
    # A 422 in PostStack's changelog, without a code that would tell it from the others.
    if error.status_code in (409, 422) and "idempotency" in words.lower():
        return ConflictError(answer)
    return (RecipientError if blames_recipient(error, message) else PermanentError)(answer)


def redact(words: str, message: Message) -> str:
    """Take out of PostStack's words what no log and no queue needs to know."""
    for pattern, name in (
        (re.escape(message.subject), "<subject>"),
        (r"[^\s<>\"'`,;:()]+@[^\s<>\"'`,;:()]+", "<address>"),
        (r"\b(sk|whsec)_\w+", "<secret>"),
    ):
        words = re.sub(pattern, name, words, flags=re.IGNORECASE)
    return words


def is_temporary(error: PostStackError) -> bool:
    """Tell throttling and outages from refusals, by the rules of the SDK's own retries."""
    if error.status_code == httpx.codes.TOO_MANY_REQUESTS:
        quota = error.code in QUOTA_CODES or (error.code and error.retry_after is None)
        return not quota
    return error.status_code == httpx.codes.REQUEST_TIMEOUT or error.status_code >= 500


def blames_recipient(error: PostStackError, message: Message) -> bool:
    """Tell the recipient's fault from the sender's.

    PostStack documents one code, `unprocessable_entity`, for both, so its words decide: they
    name the address, or speak of a recipient or a suppression.
    """
    words = error.error.lower()
    return error.status_code in (400, 422) and (
        message.recipient.lower() in words or re.search("recipient|suppress", words) is not None
    )
