"""The three roads: what the caller is told, what PostStack receives, what a failure becomes."""

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest
import respx

from app.dispatch import DispatchSettings
from app.emails import receipt
from app.orders import Order
from tests.conftest import Logged

SIGNUP = {"email": "ada@example.com", "name": "Ada"}
ORDER: dict[str, Any] = {
    "order_id": "1001",
    "recipient": "ada@example.com",
    "lines": [
        {"description": "Tea & biscuits", "amount": "7.50"},
        {"description": "Delivery", "amount": 4.99},
    ],
    "total": "12.49",
}


def bodies(wire: respx.Route) -> list[dict[str, Any]]:
    """What PostStack received, oldest first."""
    return [json.loads(call.request.content) for call in wire.calls]


async def test_signup(service: httpx.AsyncClient, wire: respx.Route) -> None:
    """Await: 201 with PostStack's id, once PostStack has accepted the welcome mail."""
    response = await service.post("/signup", json=SIGNUP)

    assert (response.status_code, response.json()) == (201, {"email_id": "em_1"})
    [body] = bodies(wire)
    assert body["to"] == ["ada@example.com"]
    assert body["from"] == "sender@example.com"
    assert "Ada" in body["subject"]
    assert "Ada" in body["html"]
    assert "Ada" in body["text"]


async def test_signup_twice(service: httpx.AsyncClient, wire: respx.Route) -> None:
    """Signing up again with the same address, in any case, is the same mail to PostStack."""
    await service.post("/signup", json=SIGNUP)
    again = await service.post("/signup", json={"email": "ADA@example.com", "name": "Eve"})

    assert again.status_code == 201
    first, second = bodies(wire)
    assert first == second
    await service.post("/signup", json={"email": "bob@example.com", "name": "Bob"})
    assert bodies(wire)[2]["idempotency_key"] != first["idempotency_key"]


async def test_signup_again_after_failure(service: httpx.AsyncClient, wire: respx.Route) -> None:
    """A signup whose mail failed can be repeated: nothing about it was lost or doubled."""
    wire.respond(503, headers={"retry-after": "61"})
    assert (await service.post("/signup", json=SIGNUP)).status_code == 503
    wire.respond(202, json={"id": "em_2"})
    assert (await service.post("/signup", json=SIGNUP)).json() == {"email_id": "em_2"}
    assert len({body["idempotency_key"] for body in bodies(wire)}) == 1


async def test_notify(service: httpx.AsyncClient, wire: respx.Route) -> None:
    """Background: 202 and the key of the log; two notices are two mails."""
    first = await service.post("/notify", json=SIGNUP)
    second = await service.post("/notify", json=SIGNUP)

    assert (first.status_code, second.status_code) == (202, 202)
    assert [body["idempotency_key"] for body in bodies(wire)] == [
        first.json()["idempotency_key"],
        second.json()["idempotency_key"],
    ]
    assert first.json() != second.json()


@pytest.mark.parametrize("status", [401, 422])
async def test_notify_fails(
    status: int, service: httpx.AsyncClient, wire: respx.Route, logged: Logged
) -> None:
    """Background: the caller has gone when the send fails, and the log says that it did."""
    wire.respond(status, json={"error": "No.", "code": "nope"})

    response = await service.post("/notify", json=SIGNUP)

    assert response.status_code == 202
    last = logged()[-1]
    assert last["idempotency_key"] == response.json()["idempotency_key"]
    assert last["message"].startswith("not sent")


@pytest.mark.parametrize("path", ["/signup", "/notify"])
@pytest.mark.parametrize("email", ["", "ada", "ada@", "ada@example", "ada@example.com\r\nBcc: b@c"])
async def test_bad_address(
    path: str, email: str, service: httpx.AsyncClient, wire: respx.Route
) -> None:
    """A malformed recipient never reaches PostStack; the answer names the field."""
    response = await service.post(path, json=SIGNUP | {"email": email})

    assert response.status_code == 422
    assert [fault["field"] for fault in response.json()["errors"]] == ["body.email"]
    assert not wire.called


async def test_no_header_injection(service: httpx.AsyncClient, wire: respx.Route) -> None:
    """What breaks a line in Unicode cannot start a header: the subject stays one line."""
    await service.post("/signup", json=SIGNUP | {"name": "Ada\u2028Bcc: everyone"})

    [body] = bodies(wire)
    assert len(body["subject"].splitlines()) == 1


async def test_no_html_injection(service: httpx.AsyncClient, wire: respx.Route) -> None:
    """What a user typed is text in the HTML, and stays as it is in the text."""
    await service.post("/signup", json=SIGNUP | {"name": "<script>alert(1)</script>"})

    [body] = bodies(wire)
    assert "<script>" not in body["html"]
    assert "&lt;script&gt;" in body["html"]
    assert "<script>" in body["text"]


@pytest.mark.parametrize("total", ["0.10", "1234567890.99", 12.4])
def test_amounts(total: str | float, settings: DispatchSettings) -> None:
    """Amounts come as JSON strings or numbers and are exact."""
    order = Order.model_validate_json(json.dumps(ORDER | {"total": total}))

    assert f"Total: {Decimal(str(total)):.2f} EUR" in receipt(order, settings).text


@pytest.mark.parametrize(
    ("field", "value"),
    [("lines", []), ("total", "1.999"), ("order_id", "../1"), ("order_id", ""), ("currency", "€")],
)
async def test_bad_order(
    field: str, value: object, service: httpx.AsyncClient, wire: respx.Route
) -> None:
    """An order that makes no sense is refused, and the field named, before anything is sent."""
    response = await service.post("/receipts", json=ORDER | {field: value})

    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == f"body.{field}"
    assert not wire.called


async def test_healthz(service: httpx.AsyncClient) -> None:
    """Alive is alive, whatever PostStack does."""
    assert (await service.get("/healthz")).json() == {"status": "ok"}
