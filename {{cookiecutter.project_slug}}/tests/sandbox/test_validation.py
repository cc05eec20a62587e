"""What is refused before it is accepted, and the words it is refused with."""

from typing import Any

import pytest

from sandbox.validation import split_address

TOO_MANY = [f"user{number}@example.com" for number in range(51)]
FILE = {"filename": "a.txt", "content": "%%%"}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"from": None}, "from: "),
        ({"from": "Shop <shop@example.com"}, "from: not an email address"),
        ({"from": "a@example.com, b@example.com"}, "from: not an email address"),
        ({"from": "Lovelace, Ada <ada@example.com>"}, "from: not an email address"),
        ({"from": 'Ada "Countess" <ada@example.com>'}, "from: not an email address"),
        ({"from": '"Ada" L. <ada@example.com>'}, "from: not an email address"),
        ({"from": '"Ada\\" <ada@example.com>'}, "from: not an email address"),
        ({"to": []}, "to: "),
        ({"to": "ada@example.com"}, "to: "),
        ({"to": ["ada@example.com", "ada"]}, "to.1: not an email address"),
        ({"to": ["ada@localhost"]}, "to.0: not an email address"),
        ({"to": ["a..b@example.com"]}, "to.0: not an email address"),
        ({"to": [f"{'a' * 250}@example.com"]}, "to.0: not an email address"),
        ({"to": ["Ada\r\nBcc: b@example.com <a@example.com>"]}, "to.0: must not contain line"),
        ({"cc": ["ada"]}, "cc.0: not an email address"),
        ({"reply_to": "ada"}, "reply_to: not an email address"),
        ({"to": TOO_MANY[:30], "bcc": TOO_MANY[30:]}, "at most 50 recipients"),
        ({"subject": None}, "subject is required"),
        ({"subject": ""}, "subject: "),
        ({"subject": "Hi\nBcc: all@example.com"}, "subject: must not contain line breaks"),
        ({"html": "", "text": None}, "html or text is required"),
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, "headers.X-A: must not contain line breaks"),
        ({"headers": {"X A": "1"}}, "headers.X A"),
        ({"headers": {"Reply-to": "ada@example.com"}}, "headers.Reply-to"),
        ({"headers": {"DKIM-Signature": "v=1"}}, "headers.DKIM-Signature"),
        ({"tags": "receipt"}, "tags: "),
        ({"attachments": [FILE]}, "attachments.0.content: not base64"),
        ({"attachments": [FILE | {"filename": ""}]}, "attachments.0.filename: "),
        ({"attachments": [FILE | {"filename": "../a.txt"}]}, "attachments.0.filename: "),
        ({"attachments": [FILE | {"filename": "..\\a.txt"}]}, "attachments.0.filename: "),
        ({"scheduled_at": "tomorrow"}, "scheduled_at: not an ISO 8601 date and time"),
        ({"idempotency_window_hours": 0}, "idempotency_window_hours: "),
        ({"idempotency_window_hours": 73}, "idempotency_window_hours: "),
        ({"idempotency_key": ""}, "idempotency_key: "),
        ({"unsubscribe": "yes"}, "unsubscribe: "),
        ({"tracking": True}, "tracking: "),
        ({"tracking": {"opens": 1, "clicks": True}}, "tracking.opens: "),
    ],
)
async def test_malformed_email_is_refused(
    sandbox: Any, email: Any, changes: Any, error: str
) -> None:
    """A malformed email is a 400 whose text begins with the field at fault; nothing is stored."""
    body = {name: value for name, value in (email | changes).items() if value is not None}
    refused = await sandbox.refusal(sandbox.emails.send(body), 400, "invalid_request")
    assert refused.error.startswith(error)
    assert await sandbox.messages() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"to": ["Ada Lovelace <ada@example.com>", '"L., Ada" <ada@sub.example.co.uk>']},
        {"to": ["ada+tag@xn--bcher-kva.example", "ådä@bücher.example"]},
        {"to": ["down@example.com", "downtown@sandbox.poststack.dev"]},
        {"to": TOO_MANY[:50]},
        {"cc": None, "reply_to": None, "headers": None, "html": None},
        {"unsubscribe": True, "tracking": {"opens": True, "clicks": False}},
        {"subject": None, "html": None, "text": None, "template_id": "tpl_1"},
        {"scheduled_at": "2020-01-01T00:00:00"},
        {"scheduled_at": "2020-01-01T00:00:00.000+01:00"},
        {"html": "line\nbreaks", "text": "are\r\nwelcome"},
    ],
)
async def test_unusual_but_valid_email_is_accepted(sandbox: Any, email: Any, changes: Any) -> None:
    """The sandbox is not stricter than it says: what is not refused above passes."""
    assert (await sandbox.emails.send(email | changes))["id"]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("ada@example.com", None),
        (" Ada Lovelace <ada@example.com>", "Ada Lovelace"),
        ('"Ada, \\"Countess\\" <x>" <ada@example.com>', 'Ada, "Countess" <x>'),
        ('"a\\\\b" <ada@example.com>', "a\\b"),
        ('"" <ada@example.com>', None),
    ],
)
def test_name_is_unquoted(value: str, name: str | None) -> None:
    """A quoted name may have anything in it, and is shown as people write it."""
    assert split_address(value) == (name, "ada@example.com")


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b'"x"', b'{"a": NaN}', b'{"a": "\\ud800"}', b"\xff", b"[" * 9999]
)
async def test_what_is_not_a_json_object_is_refused(sandbox: Any, raw: bytes) -> None:
    """A body that is not JSON, or not an object, is a 400 in PostStack's form."""
    answer = await sandbox.http.post("/emails", content=raw)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["error"].startswith("The request body is not")
