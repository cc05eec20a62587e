"""What PostStack accepts as an email, and how it refuses the rest.

A malformed body is a 400; an email that is well formed but cannot be sent is a 422.
"""

import base64
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError, from_json

from sandbox.errors import ApiError

_ATOM = r"[^\s@<>()\[\],;:\"\\.]+"
_LABEL = r"[^\W_](?:-*[^\W_])*"
_ADDRESS = rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})+"
# A name with a comma or an angle bracket is a quoted string.
_NAME = r"\s*\"(?:[^\"\\]|\\.)*\"\s*|[^<>\",]*"
_MAILBOX = re.compile(rf"(?:(?P<name>{_NAME})<)?(?P<address>{_ADDRESS})(?(name)>)")
# Assumed, as PostStack's documentation lists none: what a field of the email or the service sets.
_RESERVED_HEADER = re.compile(
    "from|to|cc|bcc|subject|date|message-id|reply-to|mime-version|content-type"
    "|content-transfer-encoding|dkim-signature|received|return-path|sender",
    re.IGNORECASE,
)


def split_address(value: str) -> tuple[str | None, str]:
    """`Ada <ada@example.com>` as name and address; the name is None for a bare address."""
    match = _MAILBOX.fullmatch(value.strip())
    if not match or len(match["address"]) > 254:
        raise PydanticCustomError("address", "not an email address")
    name = (match["name"] or "").strip()
    if name.startswith('"'):
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return name or None, match["address"]


def parse_time(value: Any) -> datetime:
    """An ISO 8601 time; one without an offset is read as UTC."""
    try:
        time = datetime.fromisoformat(value)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise PydanticCustomError("time", "not an ISO 8601 date and time") from error


def _check_line(value: str) -> str:
    # A line break inside a header would let its author write the next header.
    if any(character in value for character in "\r\n\0"):
        raise PydanticCustomError("line", "must not contain line breaks")
    return value


def _check_address(value: str) -> str:
    split_address(_check_line(value))
    return value


def _check_header(name: str) -> str:
    if _RESERVED_HEADER.fullmatch(name):
        raise PydanticCustomError("header", "PostStack sets this header itself")
    return name


def _check_base64(value: str) -> str:
    try:
        base64.b64decode(value, validate=True)
    except ValueError as error:
        raise PydanticCustomError("base64", "not base64") from error
    return value


Line = Annotated[str, AfterValidator(_check_line)]
Address = Annotated[str, AfterValidator(_check_address)]
Body = TypeVar("Body", bound=BaseModel)
HeaderName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"), AfterValidator(_check_header)
]


class Attachment(BaseModel, extra="allow", strict=True):
    """One file, base64 in `content`."""

    # That a path is refused is assumed, too.
    filename: Annotated[Line, Field(pattern=r"^[^/\\]+$")]
    content: Annotated[str, AfterValidator(_check_base64)]
    content_type: Line | None = None


class Tracking(BaseModel, extra="allow", strict=True):
    """What PostStack counts."""

    opens: bool | None = None
    clicks: bool | None = None


class Email(BaseModel, extra="allow", strict=True):
    """The body of `POST /emails`. Unknown fields pass: the API grows faster than this file."""

    sender: Address = Field(alias="from")
    to: Annotated[list[Address], Field(min_length=1)]
    cc: list[Address] | None = None
    bcc: list[Address] | None = None
    reply_to: Address | None = None
    subject: Annotated[Line, Field(min_length=1)] | None = None
    html: str | None = None
    text: str | None = None
    headers: dict[HeaderName, Line] | None = None
    tags: list[Line] | None = None
    attachments: list[Attachment] | None = None
    template_id: Annotated[str, Field(min_length=1)] | None = None
    idempotency_key: Annotated[str, Field(min_length=1)] | None = None
    idempotency_window_hours: Annotated[int, Field(ge=1, le=72)] | None = None
    scheduled_at: Annotated[datetime, BeforeValidator(parse_time)] | None = None
    unsubscribe: bool | None = None
    tracking: Tracking | None = None

    @property
    def recipients(self) -> list[str]:
        """Everybody who gets the message."""
        return [*self.to, *(self.cc or []), *(self.bcc or [])]


class Suppression(BaseModel, extra="allow", strict=True):
    """The body of `POST /suppressions`."""

    email: Address
    reason: Literal["hard_bounce", "complaint", "manual", "unsubscribe"] = "manual"


def read_json(raw: bytes) -> dict[str, Any]:
    """The request's body; NaN and unpaired surrogates, which no JSON parser shares, are refused."""
    try:
        body = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise ApiError(400, "The request body is not JSON") from error
    if not isinstance(body, dict):
        raise ApiError(400, "The request body is not a JSON object")
    return body


def validate(model: type[Body], body: object) -> Body:
    """Refuse a malformed body, naming the first field at fault."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ApiError(400, f"{field}: {first['msg']}") from error


def read_email(body: object) -> Email:
    """Refuse what is no email that can be sent."""
    email = validate(Email, body)
    if len(email.recipients) > 50:
        raise ApiError(400, "at most 50 recipients")
    if not email.subject and not email.template_id:
        raise ApiError(400, "subject is required")
    if not (email.html or email.text or email.template_id):
        raise ApiError(400, "html or text is required")
    return email
