"""Message: one email to one recipient, rendered, frozen, plain data."""

from datetime import UTC, datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, EmailStr, Field


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


class Message(BaseModel):
    """What crosses a queue: `model_dump(mode="json")` there, `model_validate` back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sender: EmailStr
    recipient: EmailStr
    subject: str = Field(min_length=1, max_length=998, pattern=r"^[^\r\n]+$")
    """One line of at most 998 characters, the limit of RFC 5322 section 2.1.1."""
    html: str
    text: str
    idempotency_key: str = Field(min_length=1)
    """Names the reason for the mail, such as `receipt:1001`: PostStack drops repeats of it."""
    accepted_at: AwareDatetime = Field(default_factory=now)
    """When the service took responsibility for the mail."""
