"""Edits that the owner of a service makes, and that an update has to keep."""

import difflib
from collections.abc import Iterator
from pathlib import Path

SETTINGS = "app/settings.py"
LAYOUT = "app/mail/layout.html"

ROUTER = '''"""`POST /reminders`: a route of one's own."""

from datetime import date

from fastapi import APIRouter
from pydantic import BaseModel, EmailStr, Field

from app.mail.message import Email
from app.web.authentication import ApiKey
from app.web.dependencies import MailerDep
from app.web.problems import problem_responses

router = APIRouter(tags=["mail"], responses=problem_responses(409, 422, 502, 503))


class Reminder(BaseModel):
    """Who is reminded of what."""

    email: EmailStr = Field(examples=["ada@example.com"], repr=False)
    order_id: str = Field(examples=["1001"])


@router.post("/reminders", summary="Remind", status_code=202, dependencies=[ApiKey])
async def reminders(body: Reminder, mailer: MailerDep) -> None:
    """Remind somebody of an order, once a day at most."""
    await mailer.enqueue(
        Email(
            template="reminders/reminder",
            recipient=body.email,
            idempotency_key=f"reminder:{body.order_id}:{date.today()}",
            context={"order_id": body.order_id},
        )
    )
'''
NEW_FILES = {
    "app/reminders/__init__.py": '"""Reminders of orders."""\n',
    "app/reminders/router.py": ROUTER,
    "app/reminders/reminder/sample.json": '{"order_id": "1001"}\n',
    "app/reminders/reminder/subject.txt": "Your order {{ order_id }}\n",
    "app/reminders/reminder/body.txt": (
        "Hello,\n\nyour order {{ order_id }} waits for you.\n\n{{ service_name }}\n"
    ),
    "app/reminders/reminder/body.html": (
        '{% extends "mail/layout.html" %}\n'
        "{% block content %}\n"
        "    <p>Your order {{ order_id }} waits for you.</p>\n"
        "{% endblock %}\n"
    ),
}
SETTING = '''    support_email: str = "help@acme.dev"
    """Where readers of our mail write to."""

'''


def edit(project: Path) -> Path:
    """Add a setting, an email, a route and a dependency, and change the layout."""
    for name, content in NEW_FILES.items():
        path = project / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(content, encoding="utf-8")
    insert(project / SETTINGS, SETTING, before="    poststack_api_key: SecretStr")
    insert(project / "pyproject.toml", '  "markdown-it-py>=4",\n', before='  "poststack>=')
    replace(project / LAYOUT, "560px", "600px")
    return project


def insert(path: Path, text: str, *, before: str) -> None:
    """Insert lines before the only place that begins with `before`."""
    head, found, tail = path.read_text("utf-8").partition(f"\n{before}")
    if not found:
        raise ValueError(f"{path} has no line that begins with {before!r}")
    path.write_text(f"{head}\n{text}{before}{tail}", encoding="utf-8")


def replace(path: Path, old: str, new: str) -> None:
    """Replace what must be there."""
    text = path.read_text("utf-8")
    if old not in text:
        raise ValueError(f"{path} has no {old!r}")
    path.write_text(text.replace(old, new), encoding="utf-8")


def touched(old: str, new: str) -> Iterator[range]:
    """Find the lines of `old` that `new` changes, with the neighbours that a merge needs."""
    matcher = difflib.SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=False)
    for tag, start, end, _, _ in matcher.get_opcodes():
        if tag != "equal":
            yield range(start - 1, end + 1)


def both_touched(old: str, ours: str, theirs: str) -> bool:
    """Tell whether two versions of a text change the same or neighbouring lines."""
    return any(
        set(mine) & set(other) for mine in touched(old, ours) for other in touched(old, theirs)
    )
