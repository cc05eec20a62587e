"""Await: the caller learns that PostStack accepted the mail."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, EmailStr, StringConstraints

from app import emails
from app.delivery import send
from app.dependencies import EventsDep, PostStackDep, SettingsDep, UsersDep
from app.events import refuse_suppressed
from app.problems import declared

router = APIRouter(tags=["mail"])

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class Signup(BaseModel):
    """Somebody who wants an account."""

    email: EmailStr
    name: Name


class SignedUp(BaseModel):
    """PostStack's id of the welcome mail: accepted, which is not yet delivered."""

    email_id: str


@router.post("/signup", status_code=201, responses=declared(502, 503))
async def signup(
    body: Signup,
    users: UsersDep,
    events: EventsDep,
    poststack: PostStackDep,
    settings: SettingsDep,
) -> SignedUp:
    """Store the user and send a welcome mail.

    Safe to repeat: the same address is the same user, and the mail has the same idempotency key.
    """
    user = await users.add(body.email, body.name)
    message = emails.welcome(user, settings)
    await refuse_suppressed(message, events)
    return SignedUp(email_id=await send(poststack, message))
