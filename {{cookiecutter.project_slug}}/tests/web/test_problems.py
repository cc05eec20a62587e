"""Every error of the API is a problem document, and gives nothing away."""

import pytest
from httpx import AsyncClient, Response
from poststack._client import QUOTA_ERROR_CODES
from respx import Route

from tests.service import JSON, Logged, problem

LATER = {"retry-after": "61"}  # later than the SDK waits for


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Response(500, headers=LATER, text="<html>a proxy's page</html>"), (503, "62")),
        (Response(408, headers=LATER), (503, "62")),
        (Response(200, text="no JSON", headers={"content-type": "application/json"}), (503, "2")),
        (Response(200, json={"no": "id"}), (503, "2")),
        (Response(429, headers=LATER, json={"code": "rate_limit_exceeded"}), (503, "62")),
        *((Response(status, json={"code": "no"}), (502, "")) for status in (400, 409, 422)),
        (Response(301, headers={"location": "https://elsewhere.test"}), (502, "")),
        (Response(429, json={"code": "some_new_quota"}), (502, "")),
        *((Response(429, headers=LATER, json={"code": c}), (502, "")) for c in QUOTA_ERROR_CODES),
        (Response(403, json={"error": "This key may not mail the recipient."}), (502, "")),
        (Response(409, json={"error": "The Idempotency key is in use."}), (409, "")),
        (Response(422, json={"error": "idempotency key reused"}), (409, "")),
        (Response(422, json={"error": "ADA@example.com is blocked."}), (422, "")),
        (Response(422, json={"error": "It is on the suppression list."}), (422, "")),
        (Response(400, json={"error": "Invalid recipient in 'to'."}), (422, "")),
    ],
)
async def test_mail_errors(
    answer: Response, expected: tuple[int, str], service: AsyncClient, *, wire: Route, body: JSON
) -> None:
    """503 with a time for what passes, 502 for our fault, 409 for a conflict, 422 otherwise."""
    wire.mock(return_value=answer)

    response = await service.post("/send", json=body)

    assert problem(response) == expected
    assert "errors" not in response.json()
    assert wire.call_count == 1


async def test_invalid_request(service: AsyncClient, body: JSON) -> None:
    """All invalid fields are listed, and the values are not sent back."""
    wrong = {"recipient": "secret value", "subject": ""}
    response = await service.post("/send", json=body | wrong)

    assert problem(response) == (422, "")
    fields = [error["field"] for error in response.json()["errors"]]
    assert fields == ["body.recipient", "body.subject"]
    assert "secret value" not in response.text


async def test_bug(service: AsyncClient, logged: Logged) -> None:
    """An error that nobody foresaw is a 500 with the request's id, and no word about its cause."""
    request_id = f"Root=1-{'a' * 121}"  # as long as it may be
    response = await service.get("/bug", headers={"X-Request-ID": request_id})

    assert problem(response) == (500, "")
    assert "secret detail" not in response.text
    assert response.headers["x-request-id"] == response.json()["request_id"] == request_id
    assert logged() == []  # the server logs the traceback
