"""From an email and its templates to a message."""

from functools import cache
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from app.mail.message import Email, Message
from app.settings import Settings

TEMPLATES = Path(__file__).parents[1]


@cache
def environment(auto_reload: bool) -> Environment:
    """Open the templates; to look for changes each time is a third of what `render` takes."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        # `body.html` escapes what it prints; `body.txt` and `subject.txt` are no HTML and must not.
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=auto_reload,
    )


def render(email: Email, settings: Settings) -> Message:
    """Render the email's `subject.txt`, `body.html` and `body.txt`.

    Raises `jinja2.UndefinedError` when a template prints what the email's context does not have.
    """

    def text(name: str) -> str:
        template = environment(settings.sandbox).get_template(f"{email.template}/{name}")
        return template.render(email.context, service_name=settings.service_name, lang="en")

    # A subject is one line, whatever a name or a title brought along.
    subject, html, body = " ".join(text("subject.txt").split()), text("body.html"), text("body.txt")
    key = email.idempotency_key
    if email.key_includes_content:
        content = f"{settings.sender_email}{subject}{html}{body}"
        key = f"{key}:{sha256(content.encode()).hexdigest()[:8]}"
    return Message(
        sender=settings.sender_email,
        recipient=email.recipient,
        subject=subject,
        html=html,
        text=body,
        idempotency_key=key,
    )
