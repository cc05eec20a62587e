"""Orders, which receipts confirm."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, EmailStr, Field, StringConstraints

Amount = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]
Text = StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00]*$")


class OrderLine(BaseModel):
    """One line of an order, with its price in the order's currency."""

    description: Annotated[str, Text]
    amount: Amount


class Order(BaseModel):
    """A paid order. Amounts are exact as strings and as numbers."""

    order_id: str = Field(examples=["1001"], pattern=r"^[A-Za-z0-9._-]{1,64}$")
    recipient: EmailStr = Field(examples=["ada@example.com"], repr=False)
    lines: list[OrderLine] = Field(
        examples=[[{"description": "Tea", "amount": "7.50"}]],
        min_length=1,
        max_length=500,
        repr=False,
    )
    total: Amount = Field(examples=["7.50"])
    currency: str = Field("EUR", description="As in ISO 4217.", pattern=r"^[A-Z]{3}$")
