"""`POST /receipts`: enqueue."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from app.examples.receipts.orders import Order
from app.mail.fields import Attachment
from app.mail.message import Email
from app.web.authentication import ApiKey
from app.web.dependencies import MailerDep
from app.web.problems import problem_responses

router = APIRouter(tags=["mail"], responses=problem_responses(409, 422, 502, 503))


class ReceiptRequest(Order):
    """An order, and in which form its receipt comes."""

    attach: bool = Field(False, description="Whether it comes as a file, too.", strict=True)


class ReceiptResponse(BaseModel):
    """The receipt is durably queued."""

    idempotency_key: str = Field(
        examples=["receipt:1001"], description="The same for each request with this order."
    )


def order_file(order: Order) -> Attachment:
    """Write an order to a file."""
    return Attachment(
        filename=f"order-{order.order_id}.txt",
        content_type="text/plain; charset=utf-8",
        content=order.as_text().encode(),
    )


def receipt(order: Order, *, attach: bool = False) -> Email:
    """Confirm an order, once in 72 hours however often it is posted."""
    return Email(
        template="examples/receipts/receipt",
        recipient=order.recipient,
        idempotency_key=f"receipt:{order.order_id}",
        attachments=(order_file(order),) if attach else (),
        context={"order": order},
    )


@router.post("/receipts", summary="Send a receipt", status_code=202, dependencies=[ApiKey])
async def receipts(
    body: ReceiptRequest, mailer: MailerDep, request: Request, response: Response
) -> ReceiptResponse:
    """Queue the receipt for an order.

    202 means that the mail will be sent; `Location` says what has become of it. After a 503 repeat
    the request: one order is one mail.
    """
    email = receipt(body, attach=body.attach)
    await mailer.enqueue(email)
    key = email.idempotency_key
    response.headers["Location"] = request.app.url_path_for("find_email", key=key)
    return ReceiptResponse(idempotency_key=key)
