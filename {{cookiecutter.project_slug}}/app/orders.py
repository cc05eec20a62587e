"""Orders: what a receipt is about."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, EmailStr, Field, StringConstraints

Amount = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]
Line = StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00]*$")
Description = Annotated[str, Line]


class OrderLine(BaseModel):
    """One line of an order, with its price in the order's currency."""

    description: Description
    amount: Amount


class Order(BaseModel):
    """A paid order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "order_id": "1001",
                    "recipient": "ada@example.com",
                    "lines": [{"description": "Tea", "amount": "7.50"}],
                    "total": "7.50",
                    "currency": "EUR",
                }
            ]
        },
        use_attribute_docstrings=True,
    )

    order_id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """The reason for the receipt, and so half its idempotency key."""
    recipient: EmailStr = Field(repr=False)
    """Where the receipt goes."""
    lines: list[OrderLine] = Field(min_length=1, max_length=500, repr=False)
    """What was ordered."""
    total: Amount
    """What was paid; a string keeps every cent."""
    currency: str = Field("EUR", pattern=r"^[A-Z]{3}$")
    """As in ISO 4217."""
