"""What happened to a mail, for callers with an API key."""

from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel

from app.mail.events import EventType
from app.web.authentication import ApiKey

router = APIRouter(tags=["events"])


class EmailEvent(BaseModel):
    """One event, in PostStack's words."""

    type: EventType
    time: datetime


class EmailEvents(BaseModel):
    """What happened to an email, the oldest event first."""

    events: list[EmailEvent]


@router.get("/events/{email_id}", summary="List an email's events", dependencies=[ApiKey])
async def list_events(email_id: str, request: Request) -> EmailEvents:
    """Return what PostStack has reported about the mail; an unknown id has no events."""
    found = await request.app.state.events.find(email_id)
    return EmailEvents(events=[EmailEvent(type=each.type, time=each.time) for each in found])
