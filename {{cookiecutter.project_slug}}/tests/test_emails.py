"""The emails: one function and one folder each, safe whatever people type."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError
from markupsafe import escape
from pydantic import ValidationError

from app import emails
from app.emails.compose import compose
from app.messages import Message
from app.orders import Order
from app.settings import Settings
from app.users import User

HOSTILE = '<img src=x onerror="alert(1)">\r\nBcc: everyone@example.com'


def all_emails(settings: Settings, typed: str) -> list[Message]:
    """Every email, with `typed` wherever a person's words go."""
    order = Order.model_validate(
        {
            "order_id": "1001",
            "recipient": "ada@example.com",
            "lines": [{"description": typed, "amount": "12.49"}],
            "total": "12.49",
        }
    )
    return [
        emails.welcome(User("u1", "ada@example.com", typed), settings),
        emails.notice("ada@example.com", typed, settings),
        emails.receipt(order, settings),
    ]


def test_injection(settings: Settings) -> None:
    """Nothing that a person types becomes markup or a header, in any email."""
    hostile = settings.model_copy(update={"service_name": HOSTILE})

    for message in all_emails(hostile, HOSTILE):
        assert "<img" not in message.html
        assert "&lt;img" in message.html
        assert "<img" in message.text
        assert not set(message.subject) & set("\r\n")


def test_folders(settings: Settings) -> None:
    """Each email is a function, a folder and a kind of key of the same name, and is tested here."""
    folders = {path.parent.name for path in Path(emails.__file__).parent.glob("*/subject.txt")}
    messages = all_emails(settings, "Ada")

    assert {message.idempotency_key.partition(":")[0] for message in messages} == folders
    assert all(callable(getattr(emails, name)) for name in folders)
    for message in messages:
        assert message.sender == "sender@example.com"
        assert settings.service_name in message.text
        assert escape(settings.service_name) in message.html
        assert "{" not in message.subject + message.text


def test_keys(settings: Settings) -> None:
    """A key names the reason for the mail: the user, the order, or for a notice the call."""
    first = [message.idempotency_key for message in all_emails(settings, "Ada")]
    second = [message.idempotency_key for message in all_emails(settings, "Ada")]
    renamed = settings.model_copy(update={"service_name": "Other"})
    reworded = [message.idempotency_key for message in all_emails(renamed, "Ada")]

    assert first[0] == second[0] != reworded[0]
    assert first[0].startswith("welcome:u1:")
    assert first[1] != second[1]
    assert first[2] == second[2] == reworded[2] == "receipt:1001"


def test_missing_variable(settings: Settings) -> None:
    """A template that misses a variable fails, instead of sending a hole."""
    with pytest.raises(UndefinedError, match="name"):
        compose("welcome", settings, recipient="ada@example.com", idempotency_key="k")


def test_message_is_plain_and_frozen(message: Message) -> None:
    """A message survives a queue unchanged, and nobody changes it on the way."""
    assert Message.model_validate_json(message.model_dump_json()) == message
    with pytest.raises(ValidationError):
        message.subject = "Other"  # type: ignore[misc]  # the fault that is planted here
    for wrong in ({"subject": "a\nb"}, {"recipient": "ada"}, {"idempotency_key": ""}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            Message.model_validate(message.model_dump() | wrong)
