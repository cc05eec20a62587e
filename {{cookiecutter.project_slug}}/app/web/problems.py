"""Errors as responses: problem documents (RFC 9457), without secrets and stack traces."""

import logging
import math
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from app.database import DatabaseError
from app.logging import current_request_id
from app.mail.errors import (
    ConflictError,
    MailError,
    RecipientError,
    TooLargeError,
    TransientError,
)
from app.web.middleware import REQUEST_ID, SECURITY_HEADERS

logger = logging.getLogger(__name__)

STATUS_DESCRIPTIONS = {
    400: "The body is not JSON in UTF-8.",
    401: "The API key, or the webhook's signature, is missing or invalid.",
    404: "No email has this idempotency key or id.",
    409: "This idempotency key was already used with different content.",
    413: "The body is too long, or the mail's attachments are too large.",
    422: "`errors` names the invalid fields; or the recipient's address is refused.",
    429: "Too many requests from this client or for this recipient.",
    500: "Internal error.",
    502: "PostStack refused the request; repeating it will not help.",
    503: "A dependency is temporarily unavailable; repeat the same request later.",
}
"""What each status means to a caller."""

RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
MEDIA_TYPE = "application/problem+json"
PROBLEM_SCHEMA = {"$ref": "#/components/schemas/Problem"}
CHALLENGE = {"WWW-Authenticate": {"description": "What to send.", "schema": {"type": "string"}}}


class InvalidField(BaseModel):
    """One invalid field of a request, by its path. Values are not echoed."""

    field: str = Field(examples=["body.email"])
    detail: str = Field(examples=["An email address must have an @-sign."])


class Problem(BaseModel):
    """A problem document as in RFC 9457; `errors` is there when fields are invalid."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[InvalidField] | None = None
    request_id: str | None = Field(None, description="The log has it, too.")


def problem(
    status: int,
    detail: str,
    *,
    errors: list[InvalidField] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Build the response; the title is the status's own phrase, as `about:blank` demands."""
    document = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=errors,
        request_id=current_request_id() or None,
    )
    return JSONResponse(document.model_dump(exclude_none=True), status, headers, MEDIA_TYPE)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare problem documents for the `responses` of a route or a router.

    What follows from a route's body and from its API key is declared by `app/web/openapi.py`.
    """
    headers: dict[int, dict[str, Any]] = {401: CHALLENGE, 429: RETRY_AFTER, 503: RETRY_AFTER}
    return {
        status: {
            "description": STATUS_DESCRIPTIONS[status],
            "headers": headers.get(status, {}),
            "content": {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}},
        }
        for status in statuses
    }


async def on_invalid_request(_: Request, error: RequestValidationError) -> JSONResponse:
    """Answer 422 and name every invalid field."""
    errors = [
        InvalidField(
            field=".".join(map(str, fault["loc"])),
            detail=fault["msg"].removeprefix("Value error, "),
        )
        for fault in error.errors()
    ]
    return problem(422, "The request is invalid; `errors` names the fields.", errors=errors)


async def on_http_exception(_: Request, error: HTTPException) -> JSONResponse:
    """Answer what a route or the framework raised: not found, method not allowed and the like."""
    headers = dict(error.headers) if error.headers else None
    return problem(error.status_code, error.detail, headers=headers)


async def on_mail_error(_: Request, error: MailError) -> JSONResponse:
    """Answer what the caller can do: repeat the request later, change it, or nothing."""
    match error:
        case TransientError():
            headers = {"Retry-After": str(math.ceil(error.delay()))}
            return problem(503, STATUS_DESCRIPTIONS[503], headers=headers)
        case RecipientError():
            return problem(422, "The recipient's address is refused. Use another address.")
        case ConflictError():
            return problem(409, STATUS_DESCRIPTIONS[409])
        case TooLargeError():
            return problem(413, "The mail's attachments are too large.")
        case _:  # the fault is ours (key, sender, quota), and the log says which
            return problem(502, STATUS_DESCRIPTIONS[502])


async def on_database_error(_: Request, error: DatabaseError) -> JSONResponse:
    """Answer 503, and log why."""
    logger.warning("%s", error)
    return await on_mail_error(_, TransientError(str(error)))


async def on_bug(_: Request, __: Exception) -> JSONResponse:
    """Answer 500 and nothing more; the server logs the stack trace."""
    # Starlette answers from outside of all middleware.
    headers = SECURITY_HEADERS | {REQUEST_ID: current_request_id()}
    return problem(500, "Internal error. The log has the details.", headers=headers)


def add_exception_handlers(app: FastAPI) -> None:
    """Make every error of the service a problem document."""
    app.exception_handler(RequestValidationError)(on_invalid_request)
    app.exception_handler(HTTPException)(on_http_exception)
    app.exception_handler(MailError)(on_mail_error)
    app.exception_handler(DatabaseError)(on_database_error)
    app.exception_handler(Exception)(on_bug)
