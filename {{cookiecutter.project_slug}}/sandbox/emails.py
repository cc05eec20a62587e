"""PostStack's `/emails`, as the SDK calls it."""

import asyncio
import hashlib
import json
from time import monotonic
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from sandbox.dependencies import Sandbox, SandboxDep, authenticate
from sandbox.errors import ApiError
from sandbox.messages import Filters, Message, timestamp
from sandbox.recipients import Refusal, find_magic
from sandbox.store import KeyReusedError
from sandbox.validation import (
    DEFAULT_WINDOW_HOURS,
    MAX_BATCH,
    Email,
    parse_time,
    read_email,
    read_json,
    split_address,
)

router = APIRouter(prefix="/emails", dependencies=[Depends(authenticate)])

EmailStatus = Literal[
    "queued", "sending", "deferred", "delivered", "bounced", "complained", "failed"
]


class ListQuery(BaseModel):
    """The filters of `GET /emails`."""

    page: Annotated[int, Field(ge=1)] = 1
    per_page: Annotated[int, Field(ge=1, le=100)] = 20
    status: EmailStatus | None = None
    to: str = ""
    sender: Annotated[str, Field(alias="from")] = ""
    subject: str = ""
    tag: str = ""


@router.post("", status_code=202)
async def send(request: Request, sandbox: SandboxDep) -> dict[str, Any]:
    """Accept one email."""
    body = read_json(await request.body())
    return await accept(sandbox, request, body, header_key=_header_key(request))


@router.post("/batch", status_code=202)
async def batch(request: Request, sandbox: SandboxDep) -> dict[str, Any]:
    """Accept up to 100 emails, each for itself: a refused one has its error in its place."""
    emails = read_json(await request.body()).get("emails")
    if not isinstance(emails, list) or not emails:
        raise ApiError(400, "emails: a list of emails is required")
    if len(emails) > MAX_BATCH:
        raise ApiError(422, f"Batch size exceeds limit of {MAX_BATCH}")
    key = _header_key(request)
    data: list[dict[str, Any]] = []
    for index, body in enumerate(emails):
        header_key = f"{key}:{index}" if key else None
        try:
            data.append(await accept(sandbox, request, body, header_key=header_key))
        except ApiError as error:
            data.append(error.body)
    return {"data": data}


@router.get("")
async def list_emails(query: Annotated[ListQuery, Query()], sandbox: SandboxDep) -> dict[str, Any]:
    """Page through the emails, newest first."""
    filters = Filters(**query.model_dump(exclude={"page", "per_page"}))
    offset = (query.page - 1) * query.per_page
    found, total = sandbox.store.find(filters, limit=query.per_page, offset=offset)
    meta = {
        "page": query.page,
        "perPage": query.per_page,
        "total": total,
        "totalPages": -(-total // query.per_page),
    }
    return {"data": [_email(message) for message in found], "meta": meta}


@router.get("/{message_id}")
async def get(message_id: str, sandbox: SandboxDep) -> dict[str, Any]:
    """One email with its bodies and events."""
    message = sandbox.existing(message_id)
    bodies = {"htmlBody": message.body.get("html"), "textBody": message.body.get("text")}
    return {"email": _email(message) | bodies | {"events": message.events}}


@router.patch("/{message_id}")
async def reschedule(message_id: str, request: Request, sandbox: SandboxDep) -> dict[str, Any]:
    """Give a scheduled email another time."""
    scheduled_at = read_json(await request.body()).get("scheduled_at")
    try:
        time = timestamp(parse_time(str(scheduled_at)))
    except ValueError as error:
        raise ApiError(400, f"scheduled_at: {error}") from error
    sandbox.existing(message_id)
    if not sandbox.store.reschedule(message_id, time):
        raise ApiError(409, "Only a scheduled email can be rescheduled")
    sandbox.delivery.start(message_id)
    return {"success": True}


@router.post("/{message_id}/cancel")
async def cancel(message_id: str, sandbox: SandboxDep) -> dict[str, Any]:
    """Stop a scheduled email."""
    sandbox.existing(message_id)
    if not sandbox.store.cancel(message_id):
        raise ApiError(409, "Only a scheduled email can be cancelled")
    return {"success": True}


async def accept(
    sandbox: Sandbox, request: Request, body: dict[str, Any], *, header_key: str | None
) -> dict[str, Any]:
    """Validate, let a magic recipient refuse, store once per key, start the delivery."""
    email = read_email(body)
    key = f"body:{email.idempotency_key}" if email.idempotency_key else header_key
    if not sandbox.store.has_key(key):
        await _meet_magic(sandbox, request, body, email)
    time = timestamp(parse_time(email.scheduled_at)) if email.scheduled_at else None
    hours = email.idempotency_window_hours or DEFAULT_WINDOW_HOURS
    try:
        message_id, repeated = sandbox.store.accept(body, key=key, hours=hours, scheduled_at=time)
    except KeyReusedError as error:
        raise ApiError(422, "The idempotency key was used for a different email") from error
    if repeated:
        return {"id": message_id, "replayed": True}
    sandbox.delivery.start(message_id)
    return {"id": message_id}


async def _meet_magic(
    sandbox: Sandbox, request: Request, body: dict[str, Any], email: Email
) -> None:
    magic, recipient = find_magic(email.recipients)
    await _wait(magic.wait, request)
    if magic.refusal is None:
        return
    if magic.refusal.times is not None:
        # Attempts belong to the reason for the email, or to its content where none is named; the
        # header will not do, since every call of the SDK makes a new one.
        key = email.idempotency_key or _fingerprint(body)
        sandbox.attempts[key] += 1
        if sandbox.attempts[key] > magic.refusal.times:
            del sandbox.attempts[key]
            return
    raise _error(magic.refusal, recipient, email)


async def _wait(seconds: float, request: Request) -> None:
    until = monotonic() + seconds
    while monotonic() < until:
        if await request.is_disconnected():
            raise ApiError(408, "The caller has left")
        await asyncio.sleep(0.1)


def _error(refusal: Refusal, recipient: str, email: Email) -> ApiError:
    domain = split_address(email.sender)[1].rpartition("@")[2]
    text = refusal.error.format(recipient=recipient, domain=domain)
    headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after else None
    return ApiError(refusal.status, text, refusal.code, headers)


def _fingerprint(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _header_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    return f"header:{key}" if key else None


def _email(message: Message) -> dict[str, Any]:
    name, address = split_address(message.body["from"])
    return {
        "id": message.number,
        "publicId": message.id,
        "fromAddress": address,
        "fromName": name,
        "toAddresses": message.body["to"],
        "ccAddresses": message.body.get("cc"),
        "bccAddresses": message.body.get("bcc"),
        "subject": message.body.get("subject") or "",
        "headers": message.body.get("headers"),
        "tags": message.body.get("tags"),
        "status": message.status,
        "testMode": True,
        "scheduledAt": message.scheduled_at,
        "sentAt": message.sent_at,
        "createdAt": message.created_at,
    }
