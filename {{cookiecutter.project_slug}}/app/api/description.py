"""What the OpenAPI document says about the API as a whole; `pyproject.toml` knows most of it."""

import tomllib
from pathlib import Path
from typing import Any

from fastapi.routing import APIRoute

PROJECT = tomllib.loads(
    Path(__file__).parents[2].joinpath("pyproject.toml").read_text(encoding="utf-8")
)["project"]

DESCRIPTION = f"""{PROJECT["description"]}

Routes with a lock want an API key: `Authorization: Bearer <key>`. Errors are problem documents
(RFC 9457). After a 429 or a 503 wait for `Retry-After`, and repeat the same request: it will not
double the mail, within 72 hours.
"""

TAGS = [
    {"name": "mail", "description": "Three roads for a mail, each with a promise of its own."},
    {"name": "events", "description": "What happened to a mail after PostStack had accepted it."},
    {"name": "operations", "description": "For those who run the service."},
]


def operation_id(route: APIRoute) -> str:
    """Name an operation after its function, so that generated clients have readable methods."""
    return route.name


ABOUT: dict[str, Any] = {
    "version": PROJECT["version"],
    "description": DESCRIPTION,
    "contact": PROJECT["authors"][0],
    "openapi_tags": TAGS,
    "generate_unique_id_function": operation_id,
}
