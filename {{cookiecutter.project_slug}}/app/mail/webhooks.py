"""PostStack's webhooks: parse one, store its event, and with it the suppression that follows."""

import logging
from typing import Annotated, Any, get_args

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field

from app.logging import log_context
from app.mail.events import SUPPRESSING, Event, Events, EventType
from app.mail.fields import Time
from app.mail.suppressions import Suppressions

TYPES: dict[str, EventType] = {f"email.{kind}": kind for kind in get_args(EventType)}

logger = logging.getLogger(__name__)


class Webhook(BaseModel):
    """The envelope, as PostStack documents it; what else may be in it is ignored."""

    id: str = Field(examples=["evt_1c9e"], min_length=1)
    type: str = Field(examples=["email.delivered"])
    timestamp: Time = Field(strict=True)  # a text, not a number
    data: dict[str, Any] = Field(examples=[{"email_id": "em_1", "recipient": "ada@example.com"}])


def unwrap(value: Any) -> Any:
    """Take the one recipient out of a list of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


class Data(BaseModel):
    """What `data` has for an event of a message.

    PostStack documents no field of it, hence the second names: those of its REST API.
    """

    email_id: str = Field(validation_alias=AliasChoices("email_id", "emailId"), min_length=1)
    recipient: Annotated[str, BeforeValidator(unwrap)] = Field(
        validation_alias=AliasChoices("recipient", "to"), min_length=1
    )
    bounce_type: str | None = Field(
        None, validation_alias=AliasChoices("bounce_type", "bounceType")
    )


def parse_webhook(body: bytes) -> Event | None:
    """Return the event that a webhook brings, or `None` for a type that is not stored.

    Raises `pydantic.ValidationError`.
    """
    webhook = Webhook.model_validate_json(body)
    if webhook.type not in TYPES:
        return None
    data = Data.model_validate(webhook.data)
    kind = TYPES[webhook.type]
    return Event(
        id=webhook.id,
        type="soft_bounced" if kind == "bounced" and data.bounce_type == "soft" else kind,
        email_id=data.email_id,
        recipient=data.recipient,
        time=webhook.timestamp,
    )


async def store_event(event: Event, events: Events, suppressions: Suppressions) -> None:
    """Store an event once, and log it. Raises `DatabaseError`.

    The suppression is stored before: what is interrupted between them comes again, and what has
    been stored does not.
    """
    if reason := SUPPRESSING.get(event.type):
        await suppressions.add(event.recipient, reason, event.time, event.email_id)
    if not await events.add(event):
        return
    with log_context(email_id=event.email_id):
        if reason:
            logger.warning("%s, recipient suppressed: %s", event.type, reason)
        else:
            logger.info(event.type)
