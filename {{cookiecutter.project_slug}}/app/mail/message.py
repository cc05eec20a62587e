"""`Email`, which templates make a message of, and `Message`: rendered, frozen, plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from app.logging import current_request_id

# Requests and settings have been checked with `EmailStr`, which costs 25 us an address.
Address = Annotated[str, StringConstraints(pattern=r"^[^\s@]+@[^\s@]+$", max_length=320)]


def utc_now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """One kind of mail to one recipient, before its templates are rendered."""

    template: str
    """The folder of its templates below `app/`, such as `password_resets/reset`."""
    recipient: str = field(repr=False)
    idempotency_key: str
    """Names the reason for the mail, such as `receipt:1001`: PostStack drops repeats of it."""
    key_includes_content: bool = False
    """Whether the same reason in other words, after a change of a template, is another mail."""
    context: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What the templates print, beside `service_name`."""


class Message(BaseModel):
    """One email to one recipient, as it crosses a queue: `model_dump(mode="json")` and back.

    Its repr and its errors do not tell to whom it goes, and what it says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    sender: Address
    recipient: Address = Field(repr=False)
    subject: str = Field(min_length=1, max_length=998, pattern=r"^[^\r\n]+$", repr=False)
    """One line of at most 998 characters, the limit of RFC 5322 section 2.1.1."""
    html: str = Field(repr=False)
    text: str = Field(repr=False)
    idempotency_key: str = Field(min_length=1, pattern=r"^[^\x00]+$")
    created_at: AwareDatetime = Field(default_factory=utc_now)
    """When the service took responsibility for the mail."""
    request_id: str = Field(default_factory=current_request_id)
    """Which request that was, for the log lines of those who send it."""

    @property
    def log_fields(self) -> dict[str, str]:
        """What every log line about the message has: `with log_context(**message.log_fields)`."""
        return {"request_id": self.request_id, "idempotency_key": self.idempotency_key}
