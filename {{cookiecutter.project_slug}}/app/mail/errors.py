"""What can go wrong with a mail, by what its caller can do about it.

MailError
    TransientError              the same message may be sent again, after a while
    PermanentError              sending it again cannot help; something must be changed first
        ConflictError           this idempotency key was used with different content
        TooLargeError           the attachments are larger than `MAX_ATTACHMENT_BYTES`
        RecipientError          the recipient's address is at fault
            SuppressedError     which the service knows by itself
"""

import random


class MailError(Exception):
    """PostStack has not accepted the message, as far as we know."""


class TransientError(MailError):
    """Sending again, after `retry_after` seconds if PostStack named a time, may help."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after

    def delay(self, attempt: int = 1) -> float:
        """Return the seconds to wait after this `attempt`, the first being 1.

        At most a day if PostStack named a time, or else exponential backoff up to five minutes;
        with jitter, so that what failed together does not come back together.
        """
        jitter = random.random()  # noqa: S311  it guards no secret
        if self.retry_after is not None:
            return min(86_400.0, self.retry_after) + jitter  # in this order NaN is a day, too
        return min(2.0 ** min(attempt, 9), 300.0) * (1 + jitter) / 2


class PermanentError(MailError):
    """PostStack refuses the message as it is, for a fault on our side."""


class ConflictError(PermanentError):
    """A different message was sent or queued under this idempotency key."""


class TooLargeError(PermanentError):
    """PostStack was not called: the attachments are larger than `MAX_ATTACHMENT_BYTES`."""


class RecipientError(PermanentError):
    """PostStack refuses the recipient: the address is malformed or suppressed."""


class SuppressedError(RecipientError):
    """PostStack was not called: after the mail `email_id` this recipient must get no other."""

    def __init__(self, reason: str, email_id: str) -> None:
        super().__init__(f"suppressed: {reason}")
        self.email_id = email_id
