"""The mailbox: a page for people, JSON for scripts. No key is asked for on localhost."""

import base64
import logging
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse

from sandbox import emails
from sandbox.dependencies import SandboxDep
from sandbox.errors import ApiError
from sandbox.messages import Filters, Message
from sandbox.recipients import TEST_RECIPIENTS

STATIC = Path(__file__).with_name("static")

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src data:; frame-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
# A mail runs no script and calls nobody; its links open in a new tab, free of the sandbox.
MAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';"
    " style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
)
# At the end, where it works as well and cannot come before the mail's own doctype.
LINKS_IN_NEW_TAB = '<base target="_blank">'

router = APIRouter()


class MessagesQuery(Filters):
    """The query of `GET /messages`."""

    limit: int = -1
    body: bool = True


@router.get("/")
async def page() -> FileResponse:
    """The mailbox page. Its links are relative, so it works under any prefix."""
    return FileResponse(STATIC / "index.html", headers={"Content-Security-Policy": PAGE_POLICY})


@router.get("/guide")
async def guide(sandbox: SandboxDep) -> dict[str, Any]:
    """What the page tells a newcomer: the API key, test recipients, whether there are previews."""
    recipients = [{"address": r.address, "effect": r.effect} for r in TEST_RECIPIENTS]
    previews = sandbox.previews is not None
    return {"api_key": sandbox.api_key, "recipients": recipients, "previews": previews}


@router.get("/messages")
async def list_messages(
    request: Request, query: Annotated[MessagesQuery, Query()], sandbox: SandboxDep
) -> Response:
    """Messages, newest first, with or without their bodies.

    The ETag makes polling cheap: while nothing has changed the answer is 304.
    """
    etag = f'"{sandbox.store.revision()}"'
    headers = {"ETag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    found, total = sandbox.store.find(query, limit=query.limit)
    messages = [_summary(m) | ({"body": m.body} if query.body else {}) for m in found]
    return JSONResponse({"messages": messages, "total": total}, headers=headers)


@router.delete("/messages", status_code=204)
async def empty(sandbox: SandboxDep) -> None:
    """Delete every message, and let every recipient get mail again."""
    sandbox.store.empty()
    sandbox.attempts.clear()


@router.get("/messages/{message_id}")
async def get_message(message_id: str, sandbox: SandboxDep) -> dict[str, Any]:
    """One message, with its body as received."""
    message = sandbox.message(message_id)
    return _summary(message) | {"body": message.body}


@router.get("/messages/{message_id}/html")
async def get_html(message_id: str, sandbox: SandboxDep) -> HTMLResponse:
    """The message as its reader sees it."""
    return show_html(sandbox.message(message_id).body)


@router.get("/messages/{message_id}/attachments/{index}")
async def get_attachment(message_id: str, index: int, sandbox: SandboxDep) -> Response:
    """One attachment, as a download."""
    return download(sandbox.message(message_id).body, index)


# Without an API key, as the page needs it; the rest is as in PostStack.
router.patch("/messages/{message_id}")(emails.reschedule)
router.post("/messages/{message_id}/cancel")(emails.cancel)


def addresses(body: dict[str, Any]) -> dict[str, Any]:
    """Who writes to whom, and about what: the line of a list."""
    subject = body.get("subject") or ""
    return {"from": body.get("from"), "to": body.get("to"), "subject": subject}


def show_html(body: dict[str, Any]) -> HTMLResponse:
    """An email's HTML, unable to run a script wherever it is opened."""
    html = (body.get("html") or "") + LINKS_IN_NEW_TAB
    return HTMLResponse(html, headers={"Content-Security-Policy": MAIL_POLICY})


def download(body: dict[str, Any], index: int) -> Response:
    """An email's attachment, never as a page: its own type might be one with a script."""
    attachments = body.get("attachments") or []
    if not 0 <= index < len(attachments):
        raise ApiError(404, "Attachment not found")
    name = quote(attachments[index]["filename"], safe="")
    return Response(
        base64.b64decode(attachments[index]["content"]),
        media_type="application/octet-stream",
        headers={
            "Content-Disposition": f"attachment; filename*=utf-8''{name}",
            "X-Content-Type-Options": "nosniff",
        },
    )


def logs_request(record: logging.LogRecord) -> bool:
    """Filter of uvicorn's access log: not a line a second for polls that found nothing new."""
    match record.args:
        case (_, "GET", str(path), _, 304):
            return "/messages?" not in path
    return True


def _summary(message: Message) -> dict[str, Any]:
    return message.model_dump(exclude={"number", "body"}) | addresses(message.body)
