"""Orders, which receipts confirm."""

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, EmailStr, Field, StringConstraints

from app.text import check_line

Amount = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]
Description = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(check_line),  # so that no description adds a line of its own
]


class OrderLine(BaseModel):
    """One line of an order, with its price in the order's currency."""

    description: Description
    amount: Amount


class Order(BaseModel):
    """A paid order. Amounts are exact as strings and as numbers."""

    order_id: str = Field(examples=["1001"], pattern=r"^[A-Za-z0-9._-]{1,64}$")
    recipient: EmailStr = Field(examples=["ada@example.com"], repr=False)
    lines: list[OrderLine] = Field(
        examples=[[{"description": "Tea", "amount": "7.50"}]],
        min_length=1,
        max_length=150,  # Gmail clips a mail after 102 KB
        repr=False,
    )
    total: Amount = Field(examples=["7.50"])
    currency: str = Field("EUR", description="As in ISO 4217.", pattern=r"^[A-Z]{3}$")

    def as_text(self) -> str:
        """Write it for a file."""
        lines = [f"{line.description}: {line.amount:.2f} {self.currency}" for line in self.lines]
        total = f"Total: {self.total:.2f} {self.currency}"
        return "\n".join([f"Order {self.order_id}", "", *lines, "", total, ""])
