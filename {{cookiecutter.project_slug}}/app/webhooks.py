"""What PostStack tells us back: verify, parse, act."""

import logging
from typing import Annotated, Any, get_args

from fastapi import Depends, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from poststack.resources import AsyncWebhooksResource
from pydantic import AliasChoices, AwareDatetime, BaseModel, BeforeValidator, Field, ValidationError

from app.dependencies import SettingsDep
from app.events import REASONS, Event, Events, EventType

MAX_BYTES = 2**20

TYPES: dict[str, EventType] = {f"email.{kind}": kind for kind in get_args(EventType)}
"""PostStack's name for each event that is stored; the others are none of our business."""

logger = logging.getLogger(__name__)


class Webhook(BaseModel):
    """The envelope, as PostStack documents it; what else may be in it is ignored."""

    id: str = Field(min_length=1)
    type: str
    timestamp: AwareDatetime
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
    bounce_type: str = Field("", validation_alias=AliasChoices("bounce_type", "bounceType"))


async def verified_body(request: Request, settings: SettingsDep) -> bytes:
    """Return the raw body, if PostStack has signed these very bytes; answer 401 or 413 if not."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise HTTPException(413, f"A webhook has at most {MAX_BYTES} bytes.")
    # Two while a secret is being rotated: in one header, or one each.
    signatures = ",".join(request.headers.getlist("X-PostStack-Signature"))
    secret = settings.poststack_webhook_secret.get_secret_value()
    if not AsyncWebhooksResource.verify(bytes(body), signatures, secret):
        logger.warning("Webhook refused: its signature is not by POSTSTACK_WEBHOOK_SECRET")
        raise HTTPException(401, "The signature does not fit the body and our secret.")
    return bytes(body)


VerifiedBody = Annotated[bytes, Depends(verified_body)]


def read(body: bytes) -> Event | None:
    """Parse a webhook; nothing comes of a type that we do not store."""
    try:
        webhook = Webhook.model_validate_json(body)
        if webhook.type not in TYPES:
            return None
        data = Data.model_validate(webhook.data)
    except ValidationError as error:
        raise RequestValidationError(
            [fault | {"loc": ("body", *fault["loc"])} for fault in error.errors()]
        ) from error
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
    if reason := REASONS.get(event.type):
        logger.warning("%s: %s, recipient suppressed: %s", event.email_id, event.type, reason)
    else:
        logger.info("%s: %s", event.email_id, event.type)
