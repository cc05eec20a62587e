"""Events: in as PostStack's webhooks, out as what happened to a message."""

from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel

from app.dependencies import EventsDep
from app.problems import declared
from app.webhooks import VerifiedBody, handle

router = APIRouter(tags=["events"])


class Happened(BaseModel):
    """One event, in PostStack's words."""

    type: str
    time: datetime


class History(BaseModel):
    """What happened to a message, oldest first; nothing is known of the id while it is empty."""

    events: list[Happened]


@router.post("/webhooks/poststack", status_code=202, responses=declared(401, 413))
async def webhook(body: VerifiedBody, events: EventsDep) -> Response:
    """Take an event from PostStack, signed over the raw body.

    Once answered, PostStack does not repeat it; so it is stored before, in one fast statement.
    """
    await handle(body, events)
    return Response(status_code=202)


@router.get("/events/{email_id}")
async def history(email_id: str, events: EventsDep) -> History:
    """Say what happened to a message after PostStack had accepted it.

    Whoever knows the id may ask, and learns no address.
    """
    found = await events.find(email_id)
    return History(events=[Happened(type=event.type, time=event.time) for event in found])
