"""Await: the caller learns that PostStack accepted the mail."""

import re
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, EmailStr, Field, StringConstraints

from app import emails
from app.delivery import SuppressedError, TemporaryError, send
from app.dependencies import EventsDep, PostStackDep, SettingsDep, SignupLimitsDep, UsersDep
from app.events import refuse_suppressed
from app.problems import declared

router = APIRouter(tags=["mail"])

LINK = re.compile(r"://|\w\.\w\w")
"""What mail programs turn into a link, `evil.example` included."""


def no_link(name: str) -> str:
    """Refuse a name with which a stranger would advertise to whomever they sign up."""
    if LINK.search(name):
        raise ValueError("must be a name and no link; after a dot goes a space")
    return name


Name = Annotated[
    str,
    # No control characters: PostStack takes none in a subject.
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$"
    ),
    AfterValidator(no_link),
]


class Signup(BaseModel):
    """Somebody who wants an account."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"email": "ada@example.com", "name": "Ada"}]},
        use_attribute_docstrings=True,
    )

    email: EmailStr = Field(repr=False)
    """Where the mail goes."""
    name: Name = Field(repr=False)
    """The name that the mail uses."""


class SignedUp(BaseModel):
    """PostStack has accepted the mail, which is not yet delivered."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"email_id": "em_4f9c2b71"}]},
        use_attribute_docstrings=True,
    )

    email_id: str
    """PostStack's id of the mail to this address."""


@router.post(
    "/signup",
    summary="Sign up",
    status_code=201,
    responses=declared(400, 409, 413, 422, 429, 502, 503),
)
async def signup(  # noqa: PLR0913  all but one are not the caller's
    body: Signup,
    *,
    request: Request,
    limits: SignupLimitsDep,
    users: UsersDep,
    events: EventsDep,
    poststack: PostStackDep,
    settings: SettingsDep,
) -> SignedUp:
    """Store the user and send a welcome mail.

    Safe to repeat: the same address is the same user, and the mail has the same idempotency key.
    Anybody may ask, so the answer does not tell whether the address is known.
    """
    limits.take(request.client and request.client.host, body.email)
    user = await users.add(body.email, body.name)
    message = emails.welcome(user, settings)
    try:
        if user.suppressed:
            await refuse_suppressed(message, events)
        return SignedUp(email_id=await send(poststack, message))
    except SuppressedError as known:
        # As when a known address signs up again: the id of the mail that it got before.
        return SignedUp(email_id=known.email_id)
    except TemporaryError:
        limits.give_back(body.email)
        raise
