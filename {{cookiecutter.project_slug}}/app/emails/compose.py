"""From a folder of templates to a message."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from app.messages import Message
from app.settings import Settings


@cache
def templates(live: bool) -> Environment:
    """Open the templates; `live` looks for changes each time, a third of what `compose` takes."""
    return Environment(
        loader=PackageLoader("app.emails", "."),
        # `body.html` escapes what it prints; `body.txt` and `subject.txt` are no HTML and must not.
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=live,
    )


def compose(
    email: str, settings: Settings, *, recipient: str, idempotency_key: str, **context: Any
) -> Message:
    """Render the three templates in the folder `email`.

    Raises `jinja2.UndefinedError` when a template asks for what `context` does not have.
    """

    def render(template: str) -> str:
        found = templates(settings.sandbox).get_template(f"{email}/{template}")
        return found.render(context, service_name=settings.service_name)

    return Message(
        sender=settings.sender_email,
        recipient=recipient,
        # A subject is one line, whatever a name or a title brought along.
        subject=" ".join(render("subject.txt").split()),
        html=render("body.html"),
        text=render("body.txt"),
        idempotency_key=idempotency_key,
    )
