"""The emails of an order."""

from app.examples.receipts.orders import Order
from app.mail.message import Email


def receipt(order: Order) -> Email:
    """Confirm an order, once in 72 hours however often it is posted."""
    return Email(
        template="examples/receipts/receipt",
        recipient=order.recipient,
        idempotency_key=f"receipt:{order.order_id}",
        context={"order": order},
    )
