"""Orders: what a receipt is about."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, EmailStr, Field, StringConstraints

Amount = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]
Description = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class OrderLine(BaseModel):
    """One line of an order, with its price in the order's currency."""

    description: Description
    amount: Amount


class Order(BaseModel):
    """A paid order. `order_id` is the reason for the receipt, and so half its idempotency key."""

    order_id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    recipient: EmailStr
    lines: list[OrderLine] = Field(min_length=1, max_length=500)
    total: Amount
    currency: str = Field("EUR", pattern=r"^[A-Z]{3}$")
