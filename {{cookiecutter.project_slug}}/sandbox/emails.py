"""PostStack's `/emails`, as the SDK calls it."""

import asyncio
from time import monotonic
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from sandbox.dependencies import Sandbox, SandboxDep, authenticate
from sandbox.errors import ApiError, error_body
from sandbox.messages import Filters, Message, timestamp
from sandbox.recipients import find_test_recipient
from sandbox.validation import Email, parse_time, read_email, read_json, split_address

MAX_BATCH_SIZE = 100

router = APIRouter(prefix="/emails", dependencies=[Depends(authenticate)])


class ListQuery(Filters):
    """The query of `GET /emails`."""

    page: Annotated[int, Field(ge=1)] = 1
    per_page: Annotated[int, Field(ge=1, le=100)] = 20


@router.post("", status_code=202)
async def send(request: Request, sandbox: SandboxDep) -> dict[str, Any]:
    """Accept one email."""
    return await accept(sandbox, request, read_json(await request.body()))


@router.post("/batch", status_code=202)
async def batch(request: Request, sandbox: SandboxDep) -> dict[str, Any]:
    """Accept up to 100 emails, each on its own: a refused one has its error in its place."""
    emails = read_json(await request.body()).get("emails")
    if not isinstance(emails, list) or not emails:
        raise ApiError(400, "emails: a list of emails is required")
    if len(emails) > MAX_BATCH_SIZE:
        raise ApiError(422, f"Batch size exceeds limit of {MAX_BATCH_SIZE}")
    data: list[dict[str, Any]] = []
    for index, body in enumerate(emails):
        try:
            data.append(await accept(sandbox, request, body, index))
        except ApiError as error:
            data.append(error_body(error))
    return {"data": data}


@router.get("")
async def list_emails(query: Annotated[ListQuery, Query()], sandbox: SandboxDep) -> dict[str, Any]:
    """Page through the emails, newest first."""
    offset = (query.page - 1) * query.per_page
    found, total = sandbox.store.find(query, limit=query.per_page, offset=offset)
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
    message = sandbox.message(message_id)
    bodies = {"htmlBody": message.body.get("html"), "textBody": message.body.get("text")}
    return {"email": _email(message) | bodies | {"events": message.events}}


@router.patch("/{message_id}")
async def reschedule(message_id: str, request: Request, sandbox: SandboxDep) -> dict[str, Any]:
    """Give a scheduled email another time."""
    sandbox.message(message_id)
    body = read_json(await request.body())
    try:
        time = timestamp(parse_time(body.get("scheduled_at")))
    except ValueError as error:
        raise ApiError(400, f"scheduled_at: {error}") from error
    if not sandbox.store.update_scheduled(message_id, scheduled_at=time):
        raise ApiError(409, "Only a scheduled email can be rescheduled")
    sandbox.delivery.start(message_id)
    return {"success": True}


@router.post("/{message_id}/cancel")
async def cancel(message_id: str, sandbox: SandboxDep) -> dict[str, Any]:
    """Stop a scheduled email."""
    sandbox.message(message_id)
    # PostStack has no status of its own for a cancelled email.
    if not sandbox.store.update_scheduled(message_id, status="failed"):
        raise ApiError(409, "Only a scheduled email can be cancelled")
    return {"success": True}


async def accept(
    sandbox: Sandbox, request: Request, body: dict[str, Any], index: int = 0
) -> dict[str, Any]:
    """Validate an email, do what its test recipient says, store it once per key, deliver it."""
    email = read_email(body)
    await _simulate(sandbox, request, email)
    key = None
    if email.idempotency_key:
        key = f"body:{email.idempotency_key}"
    elif header := request.headers.get("idempotency-key"):
        key = f"header:{header}:{index}"
    time = timestamp(email.scheduled_at) if email.scheduled_at else None
    hours = email.idempotency_window_hours or 24
    message_id, repeated = sandbox.store.accept(body, key=key, hours=hours, scheduled_at=time)
    if repeated:
        return {"id": message_id, "replayed": True}
    sandbox.delivery.start(message_id)
    return {"id": message_id}


async def _simulate(sandbox: Sandbox, request: Request, email: Email) -> None:
    recipient, address = find_test_recipient(email.recipients)
    await _wait(recipient.wait, request)
    error = recipient.error
    if error is None:
        return
    if recipient.failures:
        # Attempts are counted by the body's key, or by the content where it has none: the key in
        # the header is new with every call of the SDK.
        content = email.model_dump_json()
        key = email.idempotency_key or content
        sandbox.attempts[key] += 1
        if sandbox.attempts[key] > recipient.failures:
            # The same content sent again by hand is refused again; a key's repeat is replayed.
            sandbox.attempts.pop(content, None)
            return
    domain = split_address(email.sender)[1].rpartition("@")[2]
    text = error.detail.format(recipient=address, domain=domain)
    raise ApiError(error.status_code, text, error.code)


async def _wait(seconds: float, request: Request) -> None:
    until = monotonic() + seconds
    while monotonic() < until:
        if await request.is_disconnected():
            raise ApiError(408, "The client disconnected")
        await asyncio.sleep(0.1)


def _email(message: Message) -> dict[str, Any]:
    name, address = split_address(message.body["from"])
    times = {event["type"]: event["timestamp"] for event in message.events}
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
        "sentAt": times.get("sent"),
        "createdAt": message.created_at,
    }
