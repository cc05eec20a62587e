"""What PostStack tells us back: verify, parse, act."""

import logging
from typing import Annotated, Any, get_args

from fastapi import Depends, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from poststack.resources import AsyncWebhooksResource
from pydantic import (
    AliasChoices,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from app import logs
from app.dependencies import SettingsDep
from app.events import REASONS, Event, Events, EventType

TYPES: dict[str, EventType] = {f"email.{kind}": kind for kind in get_args(EventType)}
"""PostStack's name for each event that is stored; the others are none of our business."""

logger = logging.getLogger(__name__)


class Webhook(BaseModel):
    """The envelope, as PostStack documents it; what else may be in it is ignored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "evt_1c9e",
                    "type": "email.delivered",
                    "timestamp": "2026-02-03T04:05:06.789Z",
                    "data": {"email_id": "em_4f9c2b71", "recipient": "ada@example.com"},
                }
            ]
        }
    )

    id: str = Field(min_length=1)
    type: str
    timestamp: AwareDatetime = Field(strict=True)  # a text, not a number
    data: dict[str, Any]


def only_one(value: Any) -> Any:
    """Take the one recipient out of a list of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


class Data(BaseModel):
    """What `data` has for an event of a message.

    PostStack documents no field of it, hence the second names: those of its REST API.
    """

    email_id: str = Field(validation_alias=AliasChoices("email_id", "emailId"), min_length=1)
    recipient: Annotated[str, BeforeValidator(only_one)] = Field(
        validation_alias=AliasChoices("recipient", "to"), min_length=1
    )
    bounce_type: str | None = Field(
        None, validation_alias=AliasChoices("bounce_type", "bounceType")
    )


async def verified_body(request: Request, settings: SettingsDep) -> bytes:
    """Return the raw body, if PostStack has signed these very bytes; answer 401 if not."""
    body = await request.body()
    # Two while a secret is being rotated: in one header, or one each.
    signatures = ",".join(request.headers.getlist("X-PostStack-Signature"))
    secret = settings.poststack_webhook_secret.get_secret_value()
    if not AsyncWebhooksResource.verify(body, signatures, secret):
        logger.warning("Webhook refused: its signature is not by POSTSTACK_WEBHOOK_SECRET")
        raise HTTPException(
            401,
            "The signature does not fit the body and our secret.",
            headers={"WWW-Authenticate": "X-PostStack-Signature"},
        )
    return body


VerifiedBody = Annotated[bytes, Depends(verified_body)]


def read(body: bytes) -> Event | None:
    """Parse a webhook; nothing comes of a type that we do not store."""
    try:
        webhook = Webhook.model_validate_json(body)
        if webhook.type not in TYPES:
            return None
        data = Data.model_validate(webhook.data)
    except ValidationError as error:
        faults = [fault | {"loc": ("body", *fault["loc"])} for fault in error.errors()]
        fields = [".".join(map(str, fault["loc"])) for fault in faults]
        # Nobody else hears of it. Without the traceback, which would quote an address.
        logger.error("Webhook not understood, its event not stored; see %s", fields)  # noqa: TRY400
        raise RequestValidationError(faults) from error
    kind = TYPES[webhook.type]
    return Event(
        id=webhook.id,
        type="soft_bounced" if kind == "bounced" and data.bounce_type == "soft" else kind,
        email_id=data.email_id,
        recipient=data.recipient,
        time=webhook.timestamp,
    )


async def handle(body: bytes, events: Events) -> None:
    """Store the event that a webhook brings, and with it the suppression that follows."""
    event = read(body)
    if event is None or not await events.add(event):
        return
    with logs.bound(email_id=event.email_id):
        if reason := REASONS.get(event.type):
            logger.warning("%s, recipient suppressed: %s", event.type, reason)
        else:
            logger.info(event.type)
