"""`POST /signup`: send and wait."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel, EmailStr, Field

from app.database import DatabaseError
from app.examples.fields import PersonName
from app.examples.signup.limits import Limit, RecipientLimit, network
from app.examples.signup.users import User, Users
from app.mail.errors import SuppressedError, TransientError
from app.mail.message import Email
from app.web.authentication import PUBLIC
from app.web.dependencies import MailerDep
from app.web.problems import problem_responses


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the users, and count signups from now on."""
    settings = app.state.settings
    app.state.client_limit = Limit(settings.client_signups_per_minute, 60)
    database = app.state.database
    app.state.recipient_limit = RecipientLimit(database, settings.recipient_signups_per_hour)
    with suppress(DatabaseError):  # the next start will do
        await app.state.recipient_limit.forget()
    app.state.users = Users(database)
    yield


router = APIRouter(
    tags=["mail"], responses=problem_responses(409, 422, 429, 502, 503), lifespan=lifespan
)


class SignupRequest(BaseModel):
    """Somebody who wants an account."""

    email: EmailStr = Field(examples=["ada@example.com"], repr=False)
    name: PersonName = Field(examples=["Ada"], repr=False)


class SignupResponse(BaseModel):
    """PostStack has accepted the mail, which is not yet delivered."""

    email_id: str = Field(examples=["em_4f9c2b71"], description="PostStack's id of the mail.")


def welcome(user: User) -> Email:
    """Welcome a user, once in 72 hours however often they sign up: then PostStack forgets the key.

    The key includes the content: a repeat in other words would be a conflict at PostStack, from
    which a stranger could tell that the address is known.

    It has no name in it: whoever signs up somebody else would write to them with our sender.
    """
    return Email(
        template="examples/signup/welcome",
        recipient=user.email,
        idempotency_key=f"welcome:{user.id}",
        key_includes_content=True,
    )


@router.post("/signup", summary="Sign up", status_code=201, openapi_extra=PUBLIC)
async def signup(body: SignupRequest, request: Request, mailer: MailerDep) -> SignupResponse:
    """Store the user and send a welcome mail.

    Safe to repeat: the same address is the same user, and the mail has the same idempotency key.
    Anybody may call it, so the response does not tell whether the address is known.
    """
    state = request.app.state
    # The client first, so that nobody can use up the memory for the recipients.
    state.client_limit.count(network(request.client and request.client.host))
    await state.recipient_limit.count(body.email)
    user = await state.users.add(body.email, body.name)
    try:
        return SignupResponse(email_id=await mailer.send(welcome(user)))
    except SuppressedError as error:
        # As when a known address signs up again: the id of the mail that it got before.
        return SignupResponse(email_id=error.email_id)
    except TransientError:
        await state.recipient_limit.undo(body.email)  # a 503 asks for a repeat
        raise
