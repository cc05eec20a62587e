"""`POST /password-resets`: send a secret."""

from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, EmailStr, Field, HttpUrl, UrlConstraints

from app.mail.message import Email
from app.web.authentication import ApiKey
from app.web.dependencies import MailerDep
from app.web.problems import problem_responses

router = APIRouter(tags=["mail"], responses=problem_responses(409, 422, 502, 503))

Link = Annotated[HttpUrl, UrlConstraints(allowed_schemes=["https"], max_length=2000)]


class PasswordResetRequest(BaseModel):
    """A link that sets a new password, and to whom it goes."""

    email: EmailStr = Field(examples=["ada@example.com"], repr=False)
    link: Link = Field(examples=["https://example.com/reset#1"], repr=False)
    minutes: int = Field(30, description="For how long the link works.", ge=5, le=60)


class PasswordResetResponse(BaseModel):
    """PostStack has accepted the mail, which is not yet delivered."""

    email_id: str = Field(examples=["em_4f9c2b71"], description="PostStack's id of the mail.")


def reset(body: PasswordResetRequest) -> Email:
    """Send a link to its owner, once in 72 hours however often it is posted.

    Logs and the mail log have the key, so it has a digest of the link. Nobody finds the link by
    its digest while its token is random and long, as from `secrets.token_urlsafe`.
    """
    link = str(body.link)
    return Email(
        template="examples/password_resets/reset",
        recipient=body.email,
        idempotency_key=f"password_reset:{sha256(link.encode()).hexdigest()[:32]}",
        context={"link": link, "minutes": body.minutes},
    )


@router.post(
    "/password-resets", summary="Send a password reset", status_code=201, dependencies=[ApiKey]
)
async def password_resets(body: PasswordResetRequest, mailer: MailerDep) -> PasswordResetResponse:
    """Send the link that sets a new password.

    Safe to repeat: the same link is one mail. What is answered is for the caller alone: whoever
    asked for the link must not learn whether their address is known or refused.
    """
    # Not `enqueue`: a queue would keep the link on its disk, and longer than it works.
    return PasswordResetResponse(email_id=await mailer.send(reset(body)))
