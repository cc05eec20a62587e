"""The API's description is complete, and its examples work."""

from http import HTTPStatus
from typing import Any

import httpx
import pytest
import respx

from app.api.description import PROJECT
from app.dispatch import DispatchSettings
from app.main import create_app
from app.problems import Problem

BODIES = {"/signup": "Signup", "/notify": "Notice", "/receipts": "Order"}
OPERATIONS = {
    ("get", "/events/{email_id}"): ("history", {200, 401, 422, 500}),
    ("get", "/healthz"): ("healthz", {200, 500}),
    ("get", "/readyz"): ("readyz", {200, 500, 503}),
    ("post", "/notify"): ("notify", {202, 400, 401, 413, 422, 500, 503}),
    ("post", "/receipts"): ("receipts", {202, 400, 401, 409, 413, 422, 500, 502, 503}),
    ("post", "/signup"): ("signup", {201, 400, 409, 413, 422, 429, 500, 502, 503}),
    ("post", "/webhooks/poststack"): ("webhook", {202, 401, 413, 422, 500}),
}


@pytest.fixture
def document(settings: DispatchSettings) -> dict[str, Any]:
    """The OpenAPI document."""
    return create_app(settings).openapi()


@pytest.fixture
def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    """What it says about each operation."""
    return [operation for path in document["paths"].values() for operation in path.values()]


def test_operations(document: dict[str, Any]) -> None:
    """Operations keep their ids, from which clients are generated, and declare every answer."""
    described = {
        (method, path): (operation["operationId"], {int(s) for s in operation["responses"]})
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert described == OPERATIONS


def test_words(document: dict[str, Any], operations: list[dict[str, Any]]) -> None:
    """Whoever reads it learns what the service is, who made it, and what each part is for."""
    assert document["info"]["version"] == PROJECT["version"]
    assert PROJECT["description"] in document["info"]["description"]
    assert document["info"]["contact"] == PROJECT["authors"][0]
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    assert {tag for operation in operations for tag in operation["tags"]} == tags.keys()
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
    schemas = document["components"]["schemas"]
    assert "HTTPValidationError" not in schemas
    for schema in schemas.values():
        assert schema["description"]


def test_problems(operations: list[dict[str, Any]]) -> None:
    """Each problem is declared as what it is, with an example and the headers that come with it."""
    headers = {"401": {"WWW-Authenticate"}, "429": {"Retry-After"}, "503": {"Retry-After"}}
    for operation in operations:
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                [(media_type, content)] = response["content"].items()
                assert media_type == "application/problem+json"
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
                example = Problem.model_validate(content["example"])
                assert example.status == int(status)
                assert example.title == HTTPStatus(example.status).phrase
                assert set(response.get("headers", {})) == headers.get(status, set())


@pytest.mark.parametrize("path", ["/signup", "/notify"])  # the third may lead to a queue
async def test_examples(
    path: str, document: dict[str, Any], service: httpx.AsyncClient, wire: respx.Route
) -> None:
    """What is shown as a body is taken as one."""
    [example] = document["components"]["schemas"][BODIES[path]]["examples"]

    assert (await service.post(path, json=example)).is_success
    assert wire.called
