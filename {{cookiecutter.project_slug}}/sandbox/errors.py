"""Every refusal leaves the sandbox in PostStack's own shape: {"error": ..., "code": ...}."""

import secrets

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


class ApiError(Exception):
    """A refusal; `code` is needed only where PostStack departs from the code of the status."""

    def __init__(
        self,
        status: int,
        error: str,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        # PostStack names no code for 405 and the like: to the caller they are invalid requests.
        self.code = code or CODES.get(status, "invalid_request")
        self.headers = headers

    @property
    def body(self) -> dict[str, str]:
        """What stands in the answer."""
        return {"error": self.error, "code": self.code}

    def response(self) -> JSONResponse:
        """The refusal as an HTTP answer."""
        return JSONResponse(self.body, self.status, headers=self.headers)


def new_request_id() -> str:
    """What the `x-request-id` header carries."""
    return f"req_{secrets.token_hex(8)}"


def on_api_error(_: Request, error: ApiError) -> JSONResponse:
    """Answer a refusal of the sandbox's own."""
    return error.response()


def on_http_error(_: Request, error: HTTPException) -> JSONResponse:
    """Answer what the framework refuses: unknown paths and methods."""
    headers = dict(error.headers) if error.headers else None
    return ApiError(error.status_code, error.detail, headers=headers).response()


def on_invalid_query(_: Request, error: RequestValidationError) -> JSONResponse:
    """Answer a query parameter of the wrong type."""
    first = error.errors()[0]
    return ApiError(400, f"{first['loc'][-1]}: {first['msg']}").response()


def on_crash(_: Request, __: Exception) -> JSONResponse:
    """Answer a bug. Starlette does it outside every middleware, so the id is set here."""
    headers = {"x-request-id": new_request_id()}
    return ApiError(500, "Internal server error", headers=headers).response()
