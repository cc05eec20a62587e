"""What callers learn about a mail, whichever way it was sent."""

import json

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from respx import Route

from tests.service import JSON, problem, sign, suppress, webhook


@pytest.mark.parametrize("path", ["/send", "/send-in-background"])
async def test_found(path: str, service: AsyncClient, wire: Route, body: JSON) -> None:
    """By the idempotency key or by PostStack's id, with what PostStack has reported since."""
    assert problem(await service.get("/emails/test:1")) == (404, "")
    wire.respond(401)
    await service.post(path, json=body)
    refused = (await service.get("/emails/test:1")).json()
    assert (refused["status"], refused["email_id"], refused["events"]) == ("refused", None, [])
    assert refused["reason"].startswith("PostStack answered 401")

    wire.respond(202, json={"id": "em_1"})
    await service.post(path, json=body)
    content = json.dumps(webhook("delivered")).encode()
    headers = {"X-PostStack-Signature": sign(content, "whsec_of_the_tests")}
    await service.post("/webhooks/poststack", content=content, headers=headers)

    found = (await service.get("/emails/em_1")).json()
    assert found == (await service.get("/emails/test:1")).json()
    assert found.pop("created_at") <= found.pop("updated_at")
    assert found == {
        "idempotency_key": "test:1",
        "email_id": "em_1",
        "status": "delivered",
        "reason": None,
        "events": [{"type": "delivered", "time": "2026-02-03T04:05:06.789000Z"}],
    }


async def test_suppressed(app: FastAPI, service: AsyncClient, body: JSON) -> None:
    """A mail that was not sent for the recipient's sake has a row, too; keys may have slashes."""
    await suppress(app, "ada@example.com", "complained")
    await service.post("/send", json=body | {"idempotency_key": "a/b c?d"})
    found = (await service.get("/emails/a/b%20c%3Fd")).json()
    assert (found["status"], found["reason"]) == ("suppressed", "suppressed: complaint")
