"""Every error of the API is a problem document, and gives nothing away."""

import json
from http import HTTPStatus

import httpx
import pytest
import respx

SIGNUP = {"email": "ada@example.com", "name": "Ada"}
JSON = {"Content-Type": "application/json"}


def problem(response: httpx.Response) -> tuple[int, str]:
    """Check the shape that every problem has; return its status and its `Retry-After`."""
    document = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert document["type"] == "about:blank"
    assert document["status"] == response.status_code
    assert document["title"] == HTTPStatus(response.status_code).phrase
    assert document["detail"]
    assert "sk_test" not in response.text
    assert "Traceback" not in response.text
    return response.status_code, response.headers.get("retry-after", "")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (httpx.Response(503, headers={"retry-after": "61"}), (503, "62")),
        (httpx.Response(429, headers={"retry-after": "90"}), (503, "91")),
        (httpx.Response(429, json={"code": "quota_exceeded"}), (502, "")),
        (httpx.Response(401, json={"code": "unauthorized"}), (502, "")),
        (httpx.Response(403, json={"code": "forbidden"}), (502, "")),
        (httpx.Response(422, json={"error": "domain not verified"}), (502, "")),
        (httpx.Response(422, json={"error": "Idempotency key reused for ada@x"}), (409, "")),
        (httpx.Response(409, json={"error": "the idempotency key is in use"}), (409, "")),
        (httpx.Response(422, json={"error": "ada@example.com is suppressed"}), (422, "")),
    ],
)
async def test_refusals(
    answer: httpx.Response,
    expected: tuple[int, str],
    service: httpx.AsyncClient,
    wire: respx.Route,
) -> None:
    """503 with a time for what passes, 502 for our fault, 422 for the recipient's, 409 for both."""
    wire.mock(return_value=answer)

    assert problem(await service.post("/signup", json=SIGNUP)) == expected


async def test_no_time_named(service: httpx.AsyncClient) -> None:
    """A caller is told to wait even when PostStack is not there to name a time."""
    status, retry_after = problem(await service.post("/signup", json=SIGNUP))

    assert status == 503
    assert int(retry_after) in range(1, 3)


async def test_invalid_request(service: httpx.AsyncClient) -> None:
    """All faults are listed, and the values are not sent back."""
    response = await service.post("/signup", json={"email": "secret value", "name": ""})

    problem(response)
    assert [fault["field"] for fault in response.json()["errors"]] == ["body.email", "body.name"]
    assert "secret value" not in response.text
    assert problem(await service.post("/signup", content=b"{"))[0] == 422


@pytest.mark.parametrize(
    "name",
    [
        *("Ada\0", "Ada\nBuy", "\ud800", " \n ", 1, None, ["Ada"], "A" * 101),
        *("Buy at https://evil.example/", "evil.example", "see WWW.EVIL.EXAMPLE"),
    ],
)
async def test_impossible_names(
    name: object, service: httpx.AsyncClient, wire: respx.Route
) -> None:
    """What no mail can or should say is the caller's fault, told before PostStack could."""
    content = json.dumps(SIGNUP | {"name": name})
    response = await service.post("/signup", content=content, headers=JSON)

    assert problem(response)[0] == 422
    [fault] = response.json()["errors"]
    assert fault["field"] == "body.name"
    assert "error," not in fault["detail"]
    assert not wire.called


@pytest.mark.parametrize(
    "name", ["J. R. R. O'Neil", "St. John-Smith, Jr.", "日本 太郎", "Ravi s/o K."]
)
async def test_possible_names(name: str, service: httpx.AsyncClient, wire: respx.Route) -> None:
    """People have other names than expected."""
    assert (await service.post("/signup", json=SIGNUP | {"name": name})).status_code == 201
    assert json.loads(wire.calls.last.request.content)["subject"].endswith(f", {name}")


@pytest.mark.parametrize("body", [b"\xff", b"[" * 100_000, b"1" * 10_000])
async def test_unreadable(body: bytes, service: httpx.AsyncClient) -> None:
    """What is no JSON, or too much of it for Python, is a problem, too."""
    assert problem(await service.post("/signup", content=body, headers=JSON))[0] == 400


async def test_framework_errors(service: httpx.AsyncClient) -> None:
    """What FastAPI itself refuses has the same shape, and keeps its headers."""
    assert problem(await service.get("/nowhere"))[0] == 404
    response = await service.get("/signup")
    assert problem(response)[0] == 405
    assert response.headers["allow"] == "POST"


@pytest.mark.usefixtures("bug")
async def test_bug(service: httpx.AsyncClient) -> None:
    """An error that nobody foresaw is a 500 without a word about its cause."""
    response = await service.post("/signup", json=SIGNUP)

    assert problem(response)[0] == 500
    assert "secret detail" not in response.text
