"""Message: one email to one recipient, rendered, frozen, plain data."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from app import logs

# Requests and settings have been checked with `EmailStr`, which costs 25 us an address.
Address = Annotated[str, StringConstraints(pattern=r"^[^\s@]+@[^\s@]+$", max_length=320)]


def fold(address: str) -> str:
    """Make addresses that differ only in case equal; SQLite could do it for ASCII alone.

    Not `casefold`, for which `straße.de` is `strasse.de`, somebody else's domain.
    """
    return address.lower()


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


class Message(BaseModel):
    """What crosses a queue: `model_dump(mode="json")` there, `model_validate` back.

    Its repr and its errors do not tell to whom it goes, and what it says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    sender: Address
    recipient: Address = Field(repr=False)
    subject: str = Field(min_length=1, max_length=998, pattern=r"^[^\r\n]+$", repr=False)
    """One line of at most 998 characters, the limit of RFC 5322 section 2.1.1."""
    html: str = Field(repr=False)
    text: str = Field(repr=False)
    idempotency_key: str = Field(min_length=1)
    """Names the reason for the mail, such as `receipt:1001`: PostStack drops repeats of it."""
    accepted_at: AwareDatetime = Field(default_factory=now)
    """When the service took responsibility for the mail."""
    request_id: str = Field(default_factory=logs.request_id)
    """Which request that was, for the log lines of those who send it."""

    @property
    def log_fields(self) -> dict[str, str]:
        """What every log line about the message has: `with logs.bound(**message.log_fields)`."""
        return {"request_id": self.request_id, "idempotency_key": self.idempotency_key}
