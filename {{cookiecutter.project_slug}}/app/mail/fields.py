"""The parts that a message is made of, each checked where the message is made."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from app.addresses import split_name, with_name
from app.text import check_line

ADDRESS = re.compile(r"[^\s@<>]+@[^\s@<>]+")
"""Requests and settings have been checked with `EmailStr`, which costs 25 us an address."""

POSTSTACKS_HEADERS = re.compile(
    r"from|sender|reply-to|to|cc|bcc|subject|date|message-id|mime-version|content-.+|received"
    r"|return-path|dkim-signature|resent-.+",
    re.IGNORECASE,
)
"""Those that PostStack writes, from a mail's other fields or by itself. A second one, or another
sender, is what an injected header would be for."""


def check_mailbox(mailbox: str) -> str:
    """Return `Name <address>`, or the address alone, as it is written in a header."""
    name, address = split_name(mailbox)
    if not ADDRESS.fullmatch(address) or len(mailbox) > 1000 or len(address) > 320:
        raise ValueError("must be an address, or Name <address>")
    return with_name(name, address)


def check_header_name(name: str) -> str:
    """Return the name. Raises `ValueError` for a header that PostStack writes."""
    if POSTSTACKS_HEADERS.fullmatch(name):
        raise ValueError("is a header that PostStack writes; use the message's own fields")
    return name


def check_filename(name: str) -> str:
    """Return the name. Raises `ValueError` for one with a path, which a mail program might use."""
    if re.search(r"[/\\]", name) or name in (".", ".."):
        raise ValueError("must be a file's name without a path")
    return check_line(name)


def in_utc(time: datetime) -> datetime:
    """Refuse what is no time in UTC, as neither database takes it: hours of the year 0, say."""
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range") from None


Line = Annotated[str, StringConstraints(min_length=1, max_length=998), AfterValidator(check_line)]
"""At most as long as a line of a mail may be, by RFC 5322 section 2.1.1."""

Mailbox = Annotated[str, AfterValidator(check_mailbox)]
Time = Annotated[AwareDatetime, AfterValidator(in_utc)]

HeaderName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"),
    AfterValidator(check_header_name),
]

Filename = Annotated[
    str, StringConstraints(min_length=1, max_length=255), AfterValidator(check_filename)
]


class Attachment(BaseModel):
    """A file that goes with a mail."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    filename: Filename
    content_type: str = Field(pattern=r"^[\w.+-]+/[\w.+-]+(; ?[\w-]+=[\w.-]+)*$")
    """Such as `application/pdf`, or `text/plain; charset=utf-8`."""
    content: bytes = Field(repr=False)


class Tracking(BaseModel):
    """Which of the recipient's actions PostStack reports; without it, none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    opens: bool = False
    clicks: bool = False
