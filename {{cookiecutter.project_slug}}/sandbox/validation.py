"""What PostStack accepts as an email, and how it says no.

A malformed body is a 400; an email that is well formed but cannot be sent is a 422.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError, from_json

from sandbox.errors import ApiError

MAX_RECIPIENTS = 50
MAX_BATCH = 100
DEFAULT_WINDOW_HOURS = 24

_ATOM = r"[^\s@<>()\[\],;:\"\\.]+"
_LABEL = r"[^\W_](?:-*[^\W_])*"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})+")
_ADDRESS_LENGTH = 254
_HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)


def split_address(value: str) -> tuple[str | None, str]:
    """`Ada <ada@example.com>` as name and address; the name is None for a bare address."""
    name, bracket, rest = value.strip().rpartition("<")
    address = rest.removesuffix(">") if bracket else rest
    closed = rest.endswith(">") == bool(bracket)
    if not closed or "<" in name or ">" in name or len(address) > _ADDRESS_LENGTH:
        raise PydanticCustomError("address", "not an email address")
    if not _ADDRESS.fullmatch(address):
        raise PydanticCustomError("address", "not an email address")
    return name.strip().strip('"') or None, address


def parse_time(value: str) -> datetime:
    """An ISO 8601 time; one without an offset is read as UTC."""
    try:
        time = datetime.fromisoformat(value)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise PydanticCustomError("time", "not an ISO 8601 date and time") from error


def _check_line(value: str) -> str:
    # A line break inside a header would let its author write the next header.
    if any(character in value for character in "\r\n\0"):
        raise PydanticCustomError("line", "must not contain line breaks")
    return value


def _check_address(value: str) -> str:
    split_address(_check_line(value))
    return value


def _check_time(value: str) -> str:
    parse_time(value)
    return value


def _check_base64(value: str) -> str:
    try:
        base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise PydanticCustomError("base64", "not base64") from error
    return value


def _check_header_name(value: str) -> str:
    if not _HEADER_NAME.fullmatch(value):
        raise PydanticCustomError("header_name", "not a header name")
    return value


Line = Annotated[str, AfterValidator(_check_line)]
Address = Annotated[str, AfterValidator(_check_address)]
Time = Annotated[str, AfterValidator(_check_time)]
HeaderName = Annotated[str, AfterValidator(_check_header_name)]


class Attachment(BaseModel):
    """One file, base64 in `content`."""

    model_config = ConfigDict(extra="allow", strict=True)

    filename: Annotated[Line, Field(min_length=1)]
    content: Annotated[str, AfterValidator(_check_base64)]
    content_type: Line | None = None


class Email(BaseModel):
    """The body of `POST /emails`. Unknown fields pass: the API grows faster than this file."""

    model_config = ConfigDict(extra="allow", strict=True)

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
    scheduled_at: Time | None = None

    @property
    def recipients(self) -> list[str]:
        """Everybody who gets the message."""
        return [*self.to, *(self.cc or []), *(self.bcc or [])]

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if len(self.recipients) > MAX_RECIPIENTS:
            reason = "at most {limit} recipients"
            raise PydanticCustomError("recipients", reason, {"limit": MAX_RECIPIENTS})
        if not self.subject and not self.template_id:
            raise PydanticCustomError("subject", "subject is required")
        if not (self.html or self.text or self.template_id):
            raise PydanticCustomError("content", "html or text is required")
        return self


def read_json(raw: bytes) -> dict[str, Any]:
    """The request's body; NaN and unpaired surrogates, which no JSON parser shares, are refused."""
    try:
        body = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise ApiError(400, "The request body is not JSON") from error
    if not isinstance(body, dict):
        raise ApiError(400, "The request body is not a JSON object")
    return body


def read_email(body: object) -> Email:
    """Refuse a malformed email, naming the first field at fault."""
    if not isinstance(body, Mapping):
        raise ApiError(400, "An email is a JSON object")
    try:
        return Email.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ApiError(400, f"{place}: {first['msg']}" if place else first["msg"]) from error
