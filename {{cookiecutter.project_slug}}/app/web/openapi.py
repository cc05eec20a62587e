"""What the OpenAPI document says beyond what FastAPI finds in the routes."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from app.web.problems import Problem, problem_responses

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"

DESCRIPTION = """{description}

Routes with a lock need an API key: `Authorization: Bearer <key>`. Errors are problem documents
(RFC 9457). After a 429 or a 503 wait for `Retry-After` and repeat the same request: for 72 hours
its idempotency key keeps the mail from being sent twice.
"""


def openapi_options() -> dict[str, Any]:
    """Return what `FastAPI` takes for the document; `pyproject.toml` has most of it."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    return {
        "version": project["version"],
        "description": DESCRIPTION.format(description=project["description"]),
        "contact": project["authors"][0],
        # So that generated clients have readable methods.
        "generate_unique_id_function": lambda route: route.name,
    }


def declare_problems(app: FastAPI) -> None:
    """Add to each operation the problems that follow from its body, parameters and API key."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema:
            return app.openapi_schema
        document = generate()
        for path in document["paths"].values():
            for operation in path.values():
                problems = problem_responses(*derived_statuses(operation))
                operation["responses"] |= {str(status): told for status, told in problems.items()}
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = document["components"]["schemas"]
        schemas |= schema.pop("$defs", {}) | {"Problem": schema}
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def derived_statuses(operation: dict[str, Any]) -> Iterator[int]:
    """Tell the statuses that a route need not declare by itself."""
    yield 500
    if operation.get("security"):
        yield 401
    if "requestBody" in operation:
        yield from (400, 413)
    if "requestBody" in operation or "parameters" in operation:
        yield 422
