"""Every error response has PostStack's form: {"error": ..., "code": ...}."""

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

CODES = {
    400: "invalid_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    422: "unprocessable_entity",
    429: "rate_limit_exceeded",
    500: "internal_error",
}


class ApiError(HTTPException):
    """An error response; `code` is needed only where it is not the usual one of the status."""

    def __init__(self, status: int, error: str, code: str | None = None) -> None:
        super().__init__(status, error)
        self.code = code


def error_body(error: HTTPException) -> dict[str, str]:
    """The JSON of an error response, or of a refused email in a batch."""
    # PostStack names no code for 405 and the like: to the caller they are invalid requests.
    code = getattr(error, "code", None) or CODES.get(error.status_code, "invalid_request")
    return {"error": error.detail, "code": code}


async def on_http_error(_: Request, error: HTTPException) -> JSONResponse:
    """Respond to an ApiError, and to the router's 404 and 405."""
    body = error_body(error)
    headers = {"Retry-After": "1"} if body["code"] == "rate_limit_exceeded" else error.headers
    return JSONResponse(body, error.status_code, headers=headers)


async def on_invalid_parameter(request: Request, error: RequestValidationError) -> JSONResponse:
    """Respond with 400, as PostStack does, where FastAPI would with 422."""
    first = error.errors()[0]
    return await on_http_error(request, ApiError(400, f"{first['loc'][-1]}: {first['msg']}"))
