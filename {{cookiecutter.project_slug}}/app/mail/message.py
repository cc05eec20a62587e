"""`Email`, which templates make a message of, and `Message`: rendered, frozen, plain data."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.logging import current_request_id
from app.mail.fields import Attachment, HeaderName, Line, Mailbox, Time, Tracking


def utc_now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


class Envelope(BaseModel):
    """To whom a mail goes, and all that goes with it but its words.

    A `Mailbox` is an address or `Name <address>`; `with_name` of `app.addresses` writes one of a
    name that somebody typed. Repr and errors do not tell to whom a mail goes, and what it says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    recipient: Mailbox = Field(repr=False)
    cc: tuple[Mailbox, ...] = Field((), repr=False)
    bcc: tuple[Mailbox, ...] = Field((), repr=False)
    reply_to: Mailbox | None = Field(None, repr=False)
    headers: dict[HeaderName, Line] = Field(default_factory=dict, repr=False)
    tags: tuple[Line, ...] | None = None
    attachments: tuple[Attachment, ...] = Field((), repr=False)
    scheduled_at: Time | None = None
    """When PostStack sends it, if not at once."""
    unsubscribe: bool = False
    """Whether PostStack adds a link, and the header, with which the reader unsubscribes."""
    tracking: Tracking | None = None
    idempotency_key: str = Field(min_length=1, pattern=r"^[^\x00]+$")
    """Names the reason for the mail, such as `receipt:1001`: PostStack drops repeats of it."""


class Email(Envelope):
    """One kind of mail to one recipient, before its templates are rendered.

    `sender` and `reply_to` are the settings' by default, and `tags` the last part of `template`.
    """

    template: str
    """The folder of its templates below `app/`, such as `invitations/invitation`."""
    sender: Mailbox | None = None
    key_includes_content: bool = False
    """Whether the same reason in other words, after a change of a template, is another mail."""
    lang: str = "en"
    """The language of its words, for `<html lang>`."""
    context: Mapping[str, Any] = Field(default_factory=dict, repr=False)
    """What the templates print, beside `service_name` and `lang`."""


class Message(Envelope):
    """One email to one recipient, as PostStack gets it."""

    sender: Mailbox
    subject: str = Field(min_length=1, max_length=998, pattern=r"^[^\r\n]+$", repr=False)
    """One line of at most 998 characters, the limit of RFC 5322 section 2.1.1."""
    html: str = Field(repr=False)
    text: str = Field(repr=False)
    created_at: AwareDatetime = Field(default_factory=utc_now)
    """When the service took responsibility for the mail."""
    request_id: str = Field(default_factory=current_request_id)
    """Which request that was, for the log lines of those who send it."""

    @property
    def recipients(self) -> tuple[str, ...]:
        """Everybody who gets it."""
        return self.recipient, *self.cc, *self.bcc

    @property
    def size(self) -> int:
        """The bytes of its attachments."""
        return sum(len(attachment.content) for attachment in self.attachments)

    @property
    def log_fields(self) -> dict[str, str]:
        """What every log line about the message has: `with log_context(**message.log_fields)`."""
        return {"request_id": self.request_id, "idempotency_key": self.idempotency_key}
