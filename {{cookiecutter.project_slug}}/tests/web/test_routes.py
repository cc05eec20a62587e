"""What holds for every route, found from the routes themselves: no list names them."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from httpx import AsyncClient, Response
from respx import Route

from app import web
from app.application import create_app, feature_routers
from app.settings import Settings
from app.web.authentication import PUBLIC, require_api_key
from app.web.dependencies import get_mailer
from app.web.middleware import MAX_BODY_SIZE
from tests.service import JSON, problem


def routes(router: APIRouter) -> Iterator[APIRoute]:
    """Find a router's routes, and those of the routers that it includes."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        elif isinstance(included := getattr(route, "original_router", None), APIRouter):
            yield from routes(included)


ROUTES = [route for router in (web.router, *feature_routers()) for route in routes(router)]
EACH_ROUTE = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)


def dependencies(route: APIRoute) -> list[object]:
    """List what a route depends on, directly or not."""
    found = [route.dependant]
    for each in found:
        found += each.dependencies
    return [each.call for each in found]


def method(route: APIRoute) -> str:
    """Return a route's method."""
    return next(iter(route.methods or ()))


async def call(client: AsyncClient, route: APIRoute, **request: Any) -> Response:
    """Call a route, whatever its path has for parameters."""
    return await client.request(method(route), re.sub("[{}]", "", route.path), **request)


@pytest.fixture
def document(settings: Settings) -> JSON:
    """The service's OpenAPI document."""
    return create_app(settings).openapi()


@EACH_ROUTE
async def test_key(route: APIRoute, service: AsyncClient, wire: Route) -> None:
    """A route needs an API key, unless it is marked public."""
    marked = (route.openapi_extra or {}).items() >= PUBLIC.items()
    assert (require_api_key in dependencies(route)) != marked, "add dependencies=[ApiKey] or PUBLIC"
    for key in () if marked else ("", "Bearer wrong"):
        answer = await call(service, route, headers={"Authorization": key})
        assert problem(answer) == (401, "")
    assert not wire.called


@EACH_ROUTE
async def test_answers(route: APIRoute, service: AsyncClient, document: JSON) -> None:
    """Whatever is sent, the answer is one that the document declares, and no bug."""
    nested, number, long = b"[" * 100_000, b"1" * 10_000, b" " * (MAX_BODY_SIZE + 1)
    contents = (b"", b"{}", b"[]", b"\xff", nested, number, long)
    for content in contents if method(route) == "POST" else [b""]:
        headers = {"Content-Type": "application/json"}
        answer = await call(service, route, content=content, headers=headers)
        assert answer.status_code != 500
        assert content is not long or problem(answer) == (413, "")
        if route.include_in_schema:
            described = document["paths"][route.path_format][method(route).lower()]
            assert str(answer.status_code) in described["responses"]


@pytest.mark.parametrize("route", [route for route in ROUTES if route.include_in_schema], ids=str)
def test_description(route: APIRoute, document: JSON) -> None:
    """Each operation has an id, a summary and a description, and declares its problems."""
    described = document["paths"][route.path_format][method(route).lower()]
    assert described["operationId"] == route.name
    assert [other.name for other in ROUTES].count(route.name) == 1
    assert described["summary"]
    assert described["description"]
    assert bool(described["security"]) == (require_api_key in dependencies(route))
    needed = {"500"} | ({"401"} if described["security"] else set())
    if "requestBody" in described:
        needed |= {"400", "413", "422"}
    if get_mailer in dependencies(route):
        needed |= {"503"}
    assert needed <= described["responses"].keys(), "add problem_responses(...) to its router"
    headers = {"401": {"WWW-Authenticate"}, "429": {"Retry-After"}, "503": {"Retry-After"}}
    for status, response in described["responses"].items():
        if int(status) >= 400:
            schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
            assert response["content"] == {"application/problem+json": schema}
            assert response["headers"].keys() == headers.get(status, set())


def test_document(app: FastAPI, settings: Settings) -> None:
    """It says what the service is, describes each schema, and includes a route of one's own."""
    document = app.openapi()
    assert document["info"]["title"] == settings.service_name
    assert document["info"]["contact"]["name"]
    schemas = document["components"]["schemas"]
    assert all(schema["description"] for schema in schemas.values())
    assert {"Problem", "InvalidField"} <= schemas.keys()
    assert not {"HTTPValidationError", "ValidationError"} & schemas.keys()
    own = document["paths"]["/send"]["post"]
    assert {"400", "401", "409", "413", "422", "500", "502", "503"} <= own["responses"].keys()
    assert own["security"] == [{"ApiKey": []}]
