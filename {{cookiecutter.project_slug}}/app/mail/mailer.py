"""`Mailer`: what a route asks for to send mail."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from poststack import AsyncPostStack
from starlette.background import BackgroundTasks

from app import metrics
from app.database import DatabaseError
from app.logging import log_context
from app.mail.backlog import Backlog
from app.mail.batch import send_in_batches
from app.mail.delivery import deliver, record, status_after
from app.mail.errors import MailError, SuppressedError, TooLargeError
from app.mail.log import MailLog, Outcome
from app.mail.message import Email, Message
from app.mail.rendering import render
from app.mail.suppressions import Suppressions
from app.settings import Settings

logger = logging.getLogger(__name__)


class Publisher(Protocol):
    """The queue, as `app/queue/publisher.py` has it."""

    async def publish(self, message: Message) -> None:
        """Return once the message is durably queued, or raise `MailError` within 3 seconds."""


@dataclass(frozen=True, slots=True)
class Mailer:
    """Three ways to send, none of which mails a suppressed recipient.

    Each takes an `Email`, which it renders, or a `Message`.
    """

    settings: Settings
    poststack: AsyncPostStack
    suppressions: Suppressions
    log: MailLog
    publisher: Publisher
    background_tasks: BackgroundTasks = field(default_factory=BackgroundTasks)
    """Those of the request."""
    backlog: Backlog = field(default_factory=Backlog)

    async def send(self, mail: Email | Message) -> str:
        """Send, and return PostStack's email id once PostStack has accepted the mail.

        Raises `MailError`, or `DatabaseError` while it is not known who is suppressed.
        """
        return await self._send(self._message(mail))

    def send_in_background(self, mail: Email | Message) -> None:
        """Send after the response, best effort: a crash loses it, and only the log has the outcome.

        Raises `TransientError` while the backlog is full.
        """
        self.backlog.check()
        self.background_tasks.add_task(self._send_and_log, self._message(mail))

    async def enqueue(self, mail: Email | Message) -> None:
        """Return once the mail is durably queued; without a queue, once PostStack has accepted it.

        Raises `MailError` or `DatabaseError`, as `send` does.
        """
        message = self._message(mail)
        await self._refuse_suppressed(message)
        async with self.backlog.turn(message):
            await self.publisher.publish(message)

    async def send_many(self, mails: Sequence[Email | Message]) -> list[str | MailError]:
        """Send in batches; return in the same order PostStack's email id or the error of each.

        What failed with `TransientError` may be given to this method again.
        """
        messages = [self._render(mail) for mail in mails]
        errors = [
            self._find_size_error(message) or await self._find_suppression(message)
            for message in messages
        ]
        allowed = [message for message, error in zip(messages, errors, strict=True) if not error]
        outcomes = await send_in_batches(self.poststack, allowed)
        await asyncio.gather(*map(self._record, allowed, outcomes))
        sent = iter(outcomes)
        return [error or next(sent) for error in errors]

    def _message(self, mail: Email | Message) -> Message:
        message = self._render(mail)
        if error := self._find_size_error(message):
            raise error
        return message

    def _render(self, mail: Email | Message) -> Message:
        return mail if isinstance(mail, Message) else render(mail, self.settings)

    def _find_size_error(self, message: Message) -> TooLargeError | None:
        size, limit = message.size, self.settings.max_attachment_bytes
        if size <= limit:
            return None
        with log_context(**message.log_fields):
            logger.error("not sent: attachments of %d bytes, MAX_ATTACHMENT_BYTES=%d", size, limit)
        return TooLargeError(f"the attachments have {size} bytes, more than {limit}")

    async def _send(self, message: Message, *, in_background: bool = False) -> str:
        await self._refuse_suppressed(message)
        async with self.backlog.turn(message, in_background=in_background):
            return await deliver(self.poststack, self.log, message)

    async def _refuse_suppressed(self, message: Message) -> None:
        if error := await self._find_suppression(message):
            raise error

    async def _find_suppression(self, message: Message) -> SuppressedError | None:
        found = [await self.suppressions.find(recipient) for recipient in message.recipients]
        error = next(filter(None, found), None)
        if error:
            metrics.SKIPPED.inc()
            with log_context(**message.log_fields):
                logger.warning("not sent, recipient %s", error)
            await record(self.log, message, Outcome("suppressed", reason=str(error)))
        return error

    async def _record(self, message: Message, outcome: str | MailError) -> None:
        if isinstance(outcome, MailError):
            written = Outcome(status_after(outcome), reason=str(outcome))
        else:
            written = Outcome("accepted", outcome)
        await record(self.log, message, written)

    async def _send_and_log(self, message: Message) -> None:
        with self.backlog.hold(message):
            try:
                await self._send(message, in_background=True)
            except SuppressedError:
                pass  # is in the log
            except (MailError, DatabaseError) as error:
                metrics.FAILED.inc()
                with log_context(**message.log_fields):
                    # Without the stack trace, which would say nothing more.
                    logger.error("not sent, and not tried again: %s", error)  # noqa: TRY400
