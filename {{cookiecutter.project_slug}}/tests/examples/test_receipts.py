"""`POST /receipts`: one order is one mail, exact to the cent."""

import json

import pytest
from httpx import AsyncClient
from respx import Route

from app.examples.receipts.orders import Order
from app.examples.receipts.router import receipt
from app.mail.rendering import render
from app.settings import Settings
from tests.service import JSON, problem

ORDER: JSON = {
    "order_id": "1001",
    "recipient": "ada@example.com",
    "lines": [
        {"description": "Tea & " + 94 * "t", "amount": "0.15"},
        {"description": " G ", "amount": 1234567890.9},
    ],
    "total": "1234567891.05",
}


def test_receipt(settings: Settings) -> None:
    """Both parts have the lines and the total, exact as JSON strings and numbers."""
    order = Order.model_validate_json(json.dumps(ORDER))
    message = render(receipt(order), settings)

    # The order is the reason for the mail.
    assert (message.recipient, message.idempotency_key) == ("ada@example.com", "receipt:1001")
    for words in ("Tea &amp; ttt", "0.15 EUR", "1234567890.90 EUR", "1234567891.05 EUR"):
        assert words in message.html
    for words in ("ttt: 0.15 EUR", "\nG: 1234567890.90 EUR", "Total: 1234567891.05 EUR"):
        assert words in message.text
    assert "ada" not in f"{order!r} {order}"


def test_file(settings: Settings) -> None:
    """If asked for, it comes as a file, too."""
    order = Order.model_validate(ORDER)
    assert render(receipt(order), settings).attachments == ()

    [file] = render(receipt(order, attach=True), settings).attachments

    assert (file.filename, file.content_type) == ("order-1001.txt", "text/plain; charset=utf-8")
    lines = file.content.decode().splitlines()
    assert lines[0] == "Order 1001"
    assert lines[-3:] == ["G: 1234567890.90 EUR", "", "Total: 1234567891.05 EUR"]


@pytest.mark.parametrize(
    "description", ["Tea\nTotal: 0.01 EUR", "Tea\u2028Milk", "\u202eTea", "Tea\x9b"]
)
async def test_forged_line(description: str, service: AsyncClient, wire: Route) -> None:
    """A description stays in its line."""
    lines = [{"description": description, "amount": "7.50"}]
    answer = await service.post("/receipts", json=ORDER | {"lines": lines})

    assert problem(answer) == (422, "")
    assert not wire.called


@pytest.mark.parametrize(
    ("field", "value"),
    [("lines", []), ("total", "1.999"), ("order_id", "../1"), ("order_id", ""), ("currency", "€")],
)
async def test_bad_order(field: str, value: object, service: AsyncClient, wire: Route) -> None:
    """An order that makes no sense is refused, and the field named, before anything is sent."""
    order = ORDER | {"lines": ORDER["lines"][:1], field: value}
    response = await service.post("/receipts", json=order)

    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [f"body.{field}"]
    assert not wire.called
