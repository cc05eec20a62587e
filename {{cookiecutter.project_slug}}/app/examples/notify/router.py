"""`POST /notify`: send in the background."""

from uuid import uuid4

from fastapi import APIRouter
from pydantic import BaseModel, EmailStr, Field

from app.addresses import with_name
from app.examples.fields import PersonName
from app.mail.message import Email
from app.web.authentication import ApiKey
from app.web.dependencies import MailerDep
from app.web.problems import problem_responses

router = APIRouter(tags=["mail"], responses=problem_responses(503))


class NotifyRequest(BaseModel):
    """Who is notified."""

    email: EmailStr = Field(examples=["ada@example.com"], repr=False)
    name: PersonName = Field(examples=["Ada"], repr=False)


class NotifyResponse(BaseModel):
    """The notice will be sent after this response."""

    idempotency_key: str = Field(description="The key under which the log has this mail.")


@router.post("/notify", summary="Send a notice", status_code=202, dependencies=[ApiKey])
async def notify(body: NotifyRequest, mailer: MailerDep) -> NotifyResponse:
    """Send a notice after the response.

    Best effort: a crash loses it. 503 means that too many notices are pending.
    """
    email = Email(
        template="examples/notify/notice",
        recipient=with_name(body.name, body.email),
        idempotency_key=f"notice:{uuid4()}",  # each call is a reason of its own
        unsubscribe=True,  # nobody needs a notice, and who cannot leave complains of spam
        context={"name": body.name},
    )
    mailer.send_in_background(email)
    return NotifyResponse(idempotency_key=email.idempotency_key)
