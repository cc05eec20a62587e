"""`/emails` as the SDK uses it: send, batch, get, list, cancel, reschedule."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from poststack.types import Email, PaginationMeta

SOME_DAY = "2999-01-01T09:00:00Z"


async def test_send_and_get(sandbox: Any, email: Any) -> None:
    """The body is kept as posted, unknown fields and all letters included; `get` has its shape."""
    email |= {
        "headers": {"X-Order": "42"},
        "tags": ["receipt"],
        "attachments": [{"filename": "räcéipt.txt", "content": "MTIuNTA=", "content_id": "a"}],
        "variables": {"name": "Åda"},
        "not_yet_invented": [1, 2.5, None],
    }
    answer = await sandbox.emails.send(email)
    assert answer["id"].startswith("em_")
    [message] = await sandbox.messages()
    assert ({"id": message["id"]}, message["body"]) == (answer, email)

    raw = (await sandbox.emails.get(answer["id"]))["email"]
    assert (raw["htmlBody"], raw["textBody"]) == (email["html"], email["text"])
    got = Email.model_validate(raw)
    assert (got.public_id, got.to_addresses, got.tags) == (answer["id"], email["to"], ["receipt"])
    assert (got.from_name, got.from_address) == ("Shop", "shop@example.com")
    assert [event.type for event in got.events or []][:1] == ["queued"]


async def test_list_pages_newest_first(sandbox: Any, email: Any) -> None:
    """`list` answers {"data": ..., "meta": ...}, filtered; pages are counted from 1."""
    emails = [email | {"subject": f"No. {number}"} for number in range(5)]
    await sandbox.emails.batch({"emails": [*emails, email]})
    page = await sandbox.emails.list({"page": 2, "per_page": 2, "subject": "NO."})
    found = [Email.model_validate(item).subject for item in page["data"]]
    assert found == ["No. 2", "No. 1"]
    meta = PaginationMeta.model_validate(page["meta"])
    assert (meta.page, meta.per_page, meta.total, meta.total_pages) == (2, 2, 5, 3)


async def test_batch_accepts_each_for_itself(sandbox: Any, email: Any) -> None:
    """A refused email has its error in its place, and the others are accepted all the same."""
    nobody = email | {"to": []}
    suppressed = email | {"to": ["suppressed@sandbox.poststack.dev"]}
    answer = await sandbox.emails.batch({"emails": [email, nobody, suppressed, "text", email]})
    first, *refused, last = answer["data"]
    assert [message["id"] for message in await sandbox.messages()] == [last["id"], first["id"]]
    codes = ["invalid_request", "unprocessable_entity", "invalid_request"]
    assert [error["code"] for error in refused] == codes
    assert refused[1]["error"] == "Recipient is suppressed: suppressed@sandbox.poststack.dev"


async def test_batch_of_more_than_100_is_refused_whole(sandbox: Any) -> None:
    """100 emails get their answers in one call; 101 get one for all."""
    assert len((await sandbox.emails.batch({"emails": [{}] * 100}))["data"]) == 100
    too_many = sandbox.emails.batch({"emails": [{}] * 101})
    await sandbox.refusal(too_many, 422, "unprocessable_entity")


async def test_invalid_calls_are_refused(sandbox: Any) -> None:
    """A parameter out of range is a 400 that names it, an unknown email a 404."""
    for call, status, code, error in (
        (sandbox.emails.batch({}), 400, "invalid_request", "emails: "),
        (sandbox.emails.batch({"emails": "no"}), 400, "invalid_request", "emails: "),
        (sandbox.emails.list({"page": 0}), 400, "invalid_request", "page: "),
        (sandbox.emails.list({"per_page": 101}), 400, "invalid_request", "per_page: "),
        (sandbox.emails.list({"status": "lost"}), 400, "invalid_request", "status: "),
        (sandbox.emails.get("em_none"), 404, "not_found", "Email not found"),
        (sandbox.emails.cancel("em_none"), 404, "not_found", "Email not found"),
        (sandbox.emails.reschedule("em_none", SOME_DAY), 404, "not_found", "Email not found"),
    ):
        refused = await sandbox.refusal(call, status, code)
        assert refused.error.startswith(error)


async def test_scheduled_email_waits(sandbox: Any, email: Any) -> None:
    """Until its time an email can be moved to another one or cancelled, and no longer then."""
    soon = (datetime.now(UTC) + timedelta(seconds=0.5)).isoformat()
    later, cancelled, past = [
        (await sandbox.emails.send(email | {"scheduled_at": time}))["id"]
        for time in (soon, soon, SOME_DAY)
    ]
    await sandbox.emails.reschedule(later, SOME_DAY)
    assert await sandbox.emails.cancel(cancelled) == {"success": True}
    moved = await sandbox.emails.reschedule(past, "2020-01-01T00:00:00+02:00")
    assert moved == {"success": True}
    await asyncio.sleep(0.6)
    messages = await sandbox.reaches("delivered", "queued", "queued")
    assert [message["status"] for message in messages] == ["delivered", "failed", "queued"]

    for email_id in (cancelled, past):
        await sandbox.refusal(sandbox.emails.cancel(email_id), 409, "conflict")
        await sandbox.refusal(sandbox.emails.reschedule(email_id, SOME_DAY), 409, "conflict")
    for time in ("tomorrow", None):
        await sandbox.refusal(sandbox.emails.reschedule(later, time), 400, "invalid_request")
    waiting = (await sandbox.emails.get(later))["email"]
    assert waiting["scheduledAt"] == "2999-01-01T09:00:00.000Z"


@pytest.mark.parametrize("key", ["", "sk_test_sandbox", "Bearer sk_test_other", "Bearer sk_"])
async def test_another_key_is_unauthorized(sandbox: Any, key: str) -> None:
    """Without the configured key the answer is 401, before anything else is looked at."""
    for method, path in (("POST", "/emails"), ("POST", "/emails/batch"), ("GET", "/emails")):
        answer = await sandbox.http.request(method, path, headers={"Authorization": key})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


async def test_responses_have_ids_and_errors_one_form(sandbox: Any) -> None:
    """No two responses have the same id; the router's errors are in PostStack's form, too."""
    refused = await sandbox.refusal(sandbox.emails.send({}), 400, "invalid_request")
    page = await sandbox.http.get("/")
    unknown = await sandbox.http.get("/domains")
    forbidden = await sandbox.http.put("/emails")
    ids = {answer.headers["x-request-id"] for answer in (page, unknown, forbidden)}
    assert len(ids | {refused.request_id}) == 4
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert (forbidden.status_code, forbidden.json()["code"]) == (405, "invalid_request")
