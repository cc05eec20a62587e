"""Emails: rendered from their folders, safe whatever people type, and plain data afterwards."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import UndefinedError, nodes
from markupsafe import escape
from pydantic import ValidationError

from app.mail import rendering
from app.mail.message import Email, Message
from app.mail.rendering import TEMPLATES, environment, render
from app.settings import Settings

HOSTILE = '<img src=x onerror="alert(1)">\r\nBcc: everyone@example.com'
HELLO = Email(
    template="hello",
    recipient="ada@example.com",
    idempotency_key="hello:1",
    context={"name": HOSTILE},
)


@pytest.fixture
def hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of an email that greets somebody."""
    folder = shutil.copytree(Path(__file__).with_name("hello"), tmp_path / "hello")
    monkeypatch.setattr(rendering, "TEMPLATES", [tmp_path, TEMPLATES])
    environment.cache_clear()
    yield folder
    environment.cache_clear()


@pytest.mark.usefixtures("hello")
def test_message(settings: Settings) -> None:
    """What people type is text in HTML, and starts no header; a missing variable is an error."""
    message = render(HELLO, settings)

    assert (message.sender, message.recipient) == ("sender@example.com", "ada@example.com")
    assert (message.reply_to, message.tags) == (None, ("hello",))
    assert message.idempotency_key == "hello:1"
    assert message.subject == f"Hello {' '.join(HOSTILE.split())}"
    assert "<p>&lt;img src=x onerror=&#34;alert(1)&#34;&gt;" in message.html
    assert escape(settings.service_name) in message.html  # by the layout
    assert message.text.splitlines() == HOSTILE.splitlines()
    assert Message.model_validate_json(message.model_dump_json()) == message
    with pytest.raises(UndefinedError, match="name"):
        render(HELLO.model_copy(update={"context": {}}), settings)


@pytest.mark.usefixtures("hello")
def test_choices(settings: Settings) -> None:
    """Sender, reply address and tags are the settings' and the email's name, or the email's own."""
    settings = settings.model_copy(
        update={"sender_email": "Acme <a@acme.dev>", "reply_to": "b@acme.dev"}
    )
    own = {"sender": "Eve <eve@acme.dev>", "reply_to": "c@acme.dev", "tags": (), "lang": "de"}

    by_default, chosen = (render(each, settings) for each in (HELLO, HELLO.model_copy(update=own)))

    assert (by_default.sender, by_default.reply_to) == ("Acme <a@acme.dev>", "b@acme.dev")
    assert (chosen.sender, chosen.reply_to) == ("Eve <eve@acme.dev>", "c@acme.dev")
    assert (by_default.tags, chosen.tags) == (("hello",), ())
    assert ('lang="en"' in by_default.html, 'lang="de"' in chosen.html) == (True, True)


@pytest.mark.parametrize("part", ["subject.txt", "body.html", "body.txt"])
def test_every_email(part: str) -> None:
    """Each email of the service has its three templates, and none of them turns escaping off."""
    for folder in {path.parent for path in TEMPLATES.rglob("subject.txt")}:
        tree = environment(auto_reload=False).parse((folder / part).read_text("utf-8"))
        assert "safe" not in {found.name for found in tree.find_all(nodes.Filter)}
        assert not list(tree.find_all(nodes.EvalContextModifier))


def test_key_with_content(hello: Path, settings: Settings) -> None:
    """The same reason in other words is another mail, where the email says so."""
    renamed = settings.model_copy(update={"service_name": "Other"})  # in the HTML alone
    by_content = HELLO.model_copy(update={"key_includes_content": True})

    keys = [render(by_content, each).idempotency_key for each in (settings, settings, renamed)]
    (hello / "subject.txt").write_text("Other")
    environment.cache_clear()
    keys.append(render(by_content, settings).idempotency_key)

    assert keys[0].startswith("hello:1:")
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
    assert render(HELLO, renamed).idempotency_key == "hello:1"


def test_changed_template(hello: Path) -> None:
    """Beside the sandbox a changed template shows at once."""
    for text in ("first", "second one"):
        (hello / "body.txt").write_text(text)
        assert render(HELLO, Settings(fastapi_env="development")).text == text


def test_frozen(message: Message) -> None:
    """Nobody changes a message on its way, or makes one that no mail could be."""
    with pytest.raises(ValidationError):
        message.subject = "Other"  # type: ignore[misc]  # the fault that is planted here
    for wrong in (
        {"subject": "a\nb"},
        {"recipient": "ada"},
        {"idempotency_key": ""},
        {"idempotency_key": "a\0b"},  # which PostgreSQL does not take
        {"x": 1},
    ):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            Message.model_validate(message.model_dump() | wrong)
