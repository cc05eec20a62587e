"""Previews: each email with sample data, in the mailbox's page. Nothing is sent."""

from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse

from sandbox import mailbox
from sandbox.dependencies import SandboxDep
from sandbox.errors import ApiError
from sandbox.validation import read_email

router = APIRouter(prefix="/previews")


async def make_previews(sandbox: SandboxDep) -> dict[str, dict[str, Any]]:
    """Each email as `GET /messages` has it, with an `error` if it is broken; a 404 without any."""
    if sandbox.previews is None:
        raise ApiError(404, "This sandbox has no previews")
    return {name: _preview(name, body) for name, body in sandbox.previews().items()}


Previews = Annotated[dict[str, dict[str, Any]], Depends(make_previews)]


@router.get("", dependencies=[Depends(make_previews)])
async def page() -> FileResponse:
    """The mailbox's page, which shows previews at this address."""
    return await mailbox.page()


@router.get("/messages")
async def list_previews(
    request: Request, previews: Previews, q: str = "", body: bool = True
) -> Response:
    """The emails by name, with or without their bodies; 304 while no template has changed."""
    etag = f'"{sha256(repr(previews).encode()).hexdigest()}"'
    headers = {"ETag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    messages = [
        {key: value for key, value in preview.items() if body or key != "body"}
        for preview in previews.values()
        if q.casefold() in f"{preview['id']} {preview['subject']}".casefold()
    ]
    return JSONResponse({"messages": messages, "total": len(messages)}, headers=headers)


@router.get("/messages/{name:path}/html")
async def get_html(name: str, previews: Previews) -> HTMLResponse:
    """The email as its reader would see it."""
    return mailbox.show_html(_find(name, previews)["body"])


@router.get("/messages/{name:path}/attachments/{index}")
async def get_attachment(name: str, index: int, previews: Previews) -> Response:
    """One attachment, as a download."""
    return mailbox.download(_find(name, previews)["body"], index)


@router.get("/messages/{name:path}")
async def get_preview(name: str, previews: Previews) -> dict[str, Any]:
    """One email, with the body that PostStack would receive."""
    return _find(name, previews)


def _find(name: str, previews: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if name not in previews:
        raise ApiError(404, "Email not found")
    return previews[name]


def _preview(name: str, body: dict[str, Any]) -> dict[str, Any]:
    error = body.get("error")
    if error is None:
        try:
            read_email(body)
        except ApiError as refused:
            error = f"PostStack would refuse it: {refused.detail}"
    return {"id": name, "error": error, "body": body} | mailbox.addresses(body)
