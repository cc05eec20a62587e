"""What became of a mail, for callers with an API key."""

from datetime import datetime

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, Field

from app.mail.events import EventType
from app.mail.log import SendStatus
from app.web.authentication import ApiKey
from app.web.problems import problem_responses

router = APIRouter(tags=["mail"], responses=problem_responses(404, 503))


class EmailEvent(BaseModel):
    """One event, in PostStack's words."""

    type: EventType
    time: datetime


class EmailResponse(BaseModel):
    """What became of a mail; its status follows from its events, once there are any."""

    idempotency_key: str | None = Field(description="Absent while the mail log lacks the mail.")
    email_id: str | None = Field(description="PostStack's id, once PostStack has accepted it.")
    status: SendStatus | EventType
    created_at: datetime
    updated_at: datetime
    reason: str | None = Field(description="Why it was not sent.")
    events: list[EmailEvent] = Field(description="The oldest first.")


@router.get("/emails/{key:path}", summary="Find an email", dependencies=[ApiKey])
async def find_email(key: str, request: Request) -> EmailResponse:
    """Return what became of a mail, by its idempotency key or by PostStack's id."""
    entry = await request.app.state.mailer.log.find(key)
    if entry is None:
        raise HTTPException(404, "No email has this idempotency key or id.")
    return EmailResponse.model_validate(entry, from_attributes=True)
