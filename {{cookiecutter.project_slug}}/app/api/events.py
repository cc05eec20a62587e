"""Events: in as PostStack's webhooks, out as what happened to a message."""

from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from app.dependencies import EventsDep
from app.events import EventType
from app.problems import declared
from app.security import ApiKey
from app.webhooks import VerifiedBody, Webhook, handle

router = APIRouter(tags=["events"])


class Happened(BaseModel):
    """One event, in PostStack's words."""

    type: EventType
    time: datetime


class History(BaseModel):
    """What happened to a mail."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"events": [{"type": "delivered", "time": "2026-02-03T04:05:06.789Z"}]}]
        },
        use_attribute_docstrings=True,
    )

    events: list[Happened]
    """The oldest first."""


@router.post(
    "/webhooks/poststack",
    summary="Take an event from PostStack",
    status_code=202,
    response_class=Response,
    responses=declared(401, 413, 422),
    openapi_extra={
        "parameters": [
            {
                "name": "X-PostStack-Signature",
                "in": "header",
                "required": True,
                "description": "HMAC-SHA256 of the body, as PostStack makes it: `sha256=...`.",
                "schema": {"type": "string"},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": Webhook.model_json_schema()}},
        },
    },
)
async def webhook(body: VerifiedBody, events: EventsDep) -> Response:
    """Only PostStack can: it signs the raw body.

    Once answered, PostStack does not repeat it; so it is stored before, in one fast statement.
    """
    await handle(body, events)
    return Response(status_code=202)


@router.get(
    "/events/{email_id}",
    summary="Ask what happened to a mail",
    dependencies=[ApiKey],
    responses=declared(401, 422),
)
async def history(email_id: str, events: EventsDep) -> History:
    """Say what PostStack told after it had accepted the mail; an unknown id has no events."""
    found = await events.find(email_id)
    return History(events=[Happened(type=event.type, time=event.time) for event in found])
