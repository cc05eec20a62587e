"""Errors as responses: problem documents (RFC 9457), without secrets and stack traces."""

import math
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from app import logs, request_id
from app.delivery import ConflictError, PermanentError, RecipientError, TemporaryError
from app.security import HEADERS

MEANINGS = {
    400: "The body is not JSON in UTF-8.",
    401: "The API key, or the webhook's signature, is missing or wrong.",
    409: "A mail with other content was taken for the same reason, such as this order.",
    413: "The request is too long.",
    422: "Fields are at fault, and `errors` names them; or the recipient's address is refused.",
    429: "Too many signups by this client or for this recipient.",
    500: "A bug of ours.",
    502: "The mail service refused our request; repeating it will not help.",
    503: "What the request needs is away; repeat the same request later.",
}
"""What each status means to a caller."""

RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
CHALLENGE = {"WWW-Authenticate": {"description": "How to ask.", "schema": {"type": "string"}}}


class InvalidField(BaseModel):
    """One fault of a request. Values are not echoed."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    field: str
    """Where, such as `body.email`."""
    detail: str
    """What is wrong with it."""


class Problem(BaseModel):
    """A problem document as in RFC 9457; `errors` is there when fields are at fault."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str = "about:blank"
    """`about:blank`: the status is the whole type."""
    title: str
    """The status in words."""
    status: int
    """The HTTP status."""
    detail: str
    """What happened, for people."""
    errors: list[InvalidField] | None = None
    """The fields at fault."""
    request_id: str | None = None
    """Quote it when you report the problem; the log has it, too."""


class ProblemResponse(JSONResponse):
    """A problem document on the wire."""

    media_type = "application/problem+json"


def problem(
    status: int,
    detail: str,
    *,
    errors: list[InvalidField] | None = None,
    headers: dict[str, str] | None = None,
) -> ProblemResponse:
    """Build the response; the title is the status's own phrase, as `about:blank` demands."""
    document = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=errors,
        request_id=logs.request_id() or None,
    )
    return ProblemResponse(document.model_dump(exclude_none=True), status, headers)


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare problem responses for a route's `responses`, so that OpenAPI shows them."""
    headers: dict[int, dict[str, Any]] = {401: CHALLENGE, 429: RETRY_AFTER, 503: RETRY_AFTER}
    return {
        status: {
            "model": Problem,
            "description": MEANINGS[status],
            "headers": headers.get(status, {}),
            "content": {ProblemResponse.media_type: {"example": example(status)}},
        }
        for status in statuses
    }


def example(status: int) -> dict[str, Any]:
    """Show what a caller may get."""
    fault = InvalidField(field="body.email", detail="An email address must have an @-sign.")
    document = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=MEANINGS[status],
        errors=[fault] if status == 422 else None,
    )
    return document.model_dump(exclude_none=True)


async def on_invalid_request(_: Request, error: RequestValidationError) -> ProblemResponse:
    """Answer 422 and name every field at fault."""
    errors = [
        InvalidField(
            field=".".join(map(str, fault["loc"])),
            detail=fault["msg"].removeprefix("Value error, "),
        )
        for fault in error.errors()
    ]
    return problem(422, "The request does not fit the API's description.", errors=errors)


async def on_http_exception(_: Request, error: HTTPException) -> ProblemResponse:
    """Answer what the framework raised: no such path, method not allowed and the like."""
    headers = dict(error.headers) if error.headers else None
    return problem(error.status_code, error.detail, headers=headers)


async def on_temporary(_: Request, error: TemporaryError) -> ProblemResponse:
    """Answer 503: the same request may be repeated, and will not double the mail."""
    return problem(
        503,
        "The mail could not be handed over. Repeat the same request later.",
        headers={"Retry-After": str(math.ceil(error.delay()))},
    )


async def on_recipient(_: Request, __: RecipientError) -> ProblemResponse:
    """Answer 422: only the caller can choose another address."""
    return problem(422, "This recipient's address is refused. Use another one.")


async def on_conflict(_: Request, __: ConflictError) -> ProblemResponse:
    """Answer 409: a repeat must be the same in all it says."""
    return problem(409, "A different mail was taken for the same reason, such as this order.")


async def on_permanent(_: Request, __: PermanentError) -> ProblemResponse:
    """Answer 502: the fault is ours (key, sender, quota), and the log says which."""
    return problem(502, "The mail service refused our request. Repeating it will not help.")


async def on_bug(_: Request, __: Exception) -> ProblemResponse:
    """Answer 500 and nothing more; the server logs the stack trace."""
    # Starlette answers from outside of all middleware.
    headers = HEADERS | {request_id.HEADER: logs.request_id()}
    return problem(500, "Something went wrong on our side.", headers=headers)


def install(app: FastAPI) -> None:
    """Make every error of the service a problem document, and say so in its OpenAPI document."""
    handlers: dict[type[Exception], Callable[..., Awaitable[ProblemResponse]]] = {
        RequestValidationError: on_invalid_request,
        HTTPException: on_http_exception,
        TemporaryError: on_temporary,
        RecipientError: on_recipient,
        ConflictError: on_conflict,
        PermanentError: on_permanent,
        Exception: on_bug,
    }
    for kind, handler in handlers.items():
        app.exception_handler(kind)(handler)
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        document = describe()
        # FastAPI files every declared model under application/json.
        for path in document["paths"].values():
            for operation in path.values():
                for status, response in operation["responses"].items():
                    content = response.get("content", {})
                    if int(status) >= 400 and "application/json" in content:
                        described = content.setdefault(ProblemResponse.media_type, {})
                        described |= content.pop("application/json")
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it
