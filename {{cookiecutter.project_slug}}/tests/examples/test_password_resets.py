"""`POST /password-resets`: the link goes to its reader and nowhere else."""

import pytest
from httpx import AsyncClient
from markupsafe import escape
from respx import Route

from app.examples.password_resets.router import PasswordResetRequest
from tests.service import Logged, Sent, problem

LINK = "https://example.com/reset?user=1&lang=en#t0ken"
RESET = {"email": "ada@example.com", "link": LINK, "minutes": 15}


async def test_reset(service: AsyncClient, sent: Sent) -> None:
    """201 with PostStack's id; both parts have the link, and the same link is one mail."""
    response = await service.post("/password-resets", json=RESET)
    await service.post("/password-resets", json=RESET)
    await service.post("/password-resets", json=RESET | {"link": f"{LINK}2"})

    assert (response.status_code, response.json()) == (201, {"email_id": "em_1"})
    first, second, other = sent()
    assert first == second
    assert first["to"] == ["ada@example.com"]
    assert LINK in first["text"].splitlines()
    assert f'href="{escape(LINK)}"' in first["html"]
    assert all("within 15 minutes" in first[part] for part in ("text", "html"))
    assert first["idempotency_key"].startswith("password_reset:")
    assert other["idempotency_key"] != first["idempotency_key"]


@pytest.mark.parametrize("status", [202, 401, 422, 503])
async def test_secret(
    status: int, service: AsyncClient, *, wire: Route, sent: Sent, logged: Logged
) -> None:
    """Whatever PostStack answers, the token is in no log, no mail log and no answer."""
    wire.respond(status, json={"id": "em_1"}, headers={"retry-after": "61"})
    response = await service.post("/password-resets", json=RESET)

    [mail] = sent()
    found = await service.get(f"/emails/{mail['idempotency_key']}")
    assert found.status_code == 200
    log = str(logged())
    assert mail["idempotency_key"] in log
    assert "t0ken" not in f"{response.text} {response.headers} {found.text} {log}"
    assert "t0ken" not in repr(PasswordResetRequest.model_validate(RESET))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("link", f"{scheme}t0ken") for scheme in ("http://example.com/", "javascript:", "//")),
        *(("link", value) for value in ("t0ken", None, f"{LINK}{2000 * 'x'}")),
        *(("minutes", value) for value in (4, 61, "t0ken")),
        ("email", "t0ken"),
    ],
)
async def test_refused(
    field: str, value: object, service: AsyncClient, *, wire: Route, logged: Logged
) -> None:
    """What is no link for a reader is a 422 that names the field and does not repeat it."""
    response = await service.post("/password-resets", json=RESET | {field: value})

    assert problem(response) == (422, "")
    assert [error["field"] for error in response.json()["errors"]] == [f"body.{field}"]
    assert "t0ken" not in f"{response.text} {logged()}"
    assert not wire.called
