"""PostStack's webhooks: verified here, parsed and stored by `app/mail/webhooks.py`."""

import logging
from typing import Annotated

from fastapi import APIRouter, Depends, Header, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from poststack.resources import AsyncWebhooksResource
from pydantic import ValidationError

from app.mail.webhooks import Webhook, parse_webhook, store_event
from app.web.authentication import PUBLIC
from app.web.dependencies import SettingsDep
from app.web.problems import problem_responses

logger = logging.getLogger(__name__)

router = APIRouter(tags=["events"])


async def verified_body(
    request: Request,
    settings: SettingsDep,
    _documented: Annotated[str, Header(alias="X-PostStack-Signature")] = "",
) -> bytes:
    """Return the raw body, if PostStack has signed these very bytes; answer 401 if not."""
    body = await request.body()
    # Two while a secret is being rotated: in one header, or one each.
    signatures = ",".join(request.headers.getlist("X-PostStack-Signature"))
    secret = settings.poststack_webhook_secret.get_secret_value()
    if not AsyncWebhooksResource.verify(body, signatures, secret):
        logger.warning("Webhook refused: it is not signed with POSTSTACK_WEBHOOK_SECRET")
        raise HTTPException(
            401,
            "Invalid signature.",
            headers={"WWW-Authenticate": "X-PostStack-Signature"},
        )
    return body


@router.post(
    "/webhooks/poststack",
    summary="Receive a PostStack webhook",
    status_code=202,
    response_class=Response,
    responses=problem_responses(401, 503),
    openapi_extra=PUBLIC
    | {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": Webhook.model_json_schema()}},
        },
    },
)
async def receive_webhook(
    request: Request, body: Annotated[bytes, Depends(verified_body)]
) -> Response:
    """Store an event that PostStack has signed.

    PostStack does not repeat what was answered, so the event is stored before.
    """
    try:
        event = parse_webhook(body)
    except ValidationError as error:
        faults = [fault | {"loc": ("body", *fault["loc"])} for fault in error.errors()]
        fields = [".".join(map(str, fault["loc"])) for fault in faults]
        # Without the traceback, which would quote an address.
        logger.error("Webhook invalid, its event not stored; see %s", fields)  # noqa: TRY400
        raise RequestValidationError(faults) from error
    if event:
        state = request.app.state
        await store_event(event, state.events, state.suppressions)
    return Response(status_code=202)
