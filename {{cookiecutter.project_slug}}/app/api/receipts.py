"""Dispatch: mail that must not be lost."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from app import emails
from app.dependencies import DispatchDep, EventsDep, SettingsDep
from app.events import refuse_suppressed
from app.orders import Order
from app.problems import declared
from app.security import ApiKey

router = APIRouter(tags=["mail"])


class Dispatched(BaseModel):
    """The mail is safe."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"idempotency_key": "receipt:1001"}]},
        use_attribute_docstrings=True,
    )

    idempotency_key: str
    """The key under which the mail goes; the same order always has the same one."""


@router.post(
    "/receipts",
    summary="Send a receipt",
    status_code=202,
    dependencies=[ApiKey],
    responses=declared(400, 401, 409, 413, 422, 502, 503),
)
async def receipts(
    body: Order, events: EventsDep, dispatch: DispatchDep, settings: SettingsDep
) -> Dispatched:
    """Send the receipt for an order.

    202 means that the mail is safe. After a 503 repeat the request: the same order is one mail.
    """
    message = emails.receipt(body, settings)
    await refuse_suppressed(message, events)
    await dispatch(message)
    return Dispatched(idempotency_key=message.idempotency_key)
