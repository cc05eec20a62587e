"""The only module that calls PostStack's `emails.send`, and what can go wrong there.

Every failure of `send` is a `DeliveryError`:

    TemporaryError          the same message may be sent again, after a while
    PermanentError          sending it again cannot help; something must be changed first
        RecipientError      and that is the recipient's address
"""

import asyncio
import logging
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from poststack import AsyncPostStack, PostStackError

from app import metrics
from app.messages import Message, now
from app.settings import Settings

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

        PostStack's wish, or exponential backoff up to five minutes; with jitter, so that what
        failed together does not come back together.
        """
        jitter = random.random()  # noqa: S311  it guards no secret
        if self.retry_after is not None:
            return self.retry_after + jitter
        return min(2.0 ** min(attempt, 9), 300.0) * (1 + jitter) / 2


class PermanentError(DeliveryError):
    """PostStack refuses the message as it is, for a fault on our side."""


class RecipientError(PermanentError):
    """PostStack refuses the recipient: the address is malformed or suppressed."""


@asynccontextmanager
async def open_poststack(
    settings: Settings, *, max_retries: int = 3
) -> AsyncIterator[AsyncPostStack]:
    """Open the client, and with it the one connection pool, of this process.

    `max_retries` are the SDK's own, within one `send`.
    """
    async with AsyncPostStack(
        api_key=settings.poststack_api_key.get_secret_value(),
        base_url=settings.poststack_base_url,
        timeout=10.0,
        max_retries=max_retries,
    ) as poststack:
        yield poststack


async def send(poststack: AsyncPostStack, message: Message, *, deadline: float = DEADLINE) -> str:
    """Hand the message to PostStack and return PostStack's id for it.

    Accepted is not delivered: whether the receiving server took it, a webhook tells later.
    Raises `TemporaryError` or `PermanentError` and nothing else.
    """
    try:
        async with asyncio.timeout(deadline):
            answer = await poststack.emails.send(payload(message))
    except PostStackError as error:
        raise refusal(error, message) from error
    except (httpx.HTTPError, TimeoutError, ValueError) as error:
        logger.warning("%s: PostStack not reached: %r", message.idempotency_key, error)
        raise TemporaryError(f"PostStack not reached: {error!r}") from error
    match answer:
        case {"id": str(email_id)}:
            seconds = (now() - message.accepted_at).total_seconds()
            metrics.ACCEPTED.inc()
            metrics.SECONDS.observe(seconds)
            logger.info(
                "%s: accepted by PostStack as %s after %.3f s",
                message.idempotency_key,
                email_id,
                seconds,
            )
            return email_id
        case _:
            logger.warning("%s: PostStack's answer has no email id", message.idempotency_key)
            raise TemporaryError("PostStack's answer has no email id")


async def send_or_log(poststack: AsyncPostStack, message: Message) -> None:
    """Send where nobody is left to hear of a failure, such as after the response."""
    try:
        await send(poststack, message)
    except DeliveryError as error:
        metrics.FAILED.inc()
        # Without the stack trace, which would say nothing more.
        logger.error("%s: not sent, and not tried again: %s", message.idempotency_key, error)  # noqa: TRY400


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
    # PostStack's words can name the recipient, whom no log and no queue needs to know.
    words = error.error.replace(message.recipient, "<recipient>")
    answer = (
        f"PostStack answered {error.status_code} {error.code}: {words} (request {error.request_id})"
    )
    temporary = is_temporary(error)
    level = logging.WARNING if temporary else logging.ERROR
    logger.log(level, "%s: %s", message.idempotency_key, answer)
    if temporary:
        return TemporaryError(answer, error.retry_after)
    return (RecipientError if blames_recipient(error, message) else PermanentError)(answer)


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
