"""Edits that the owner of a service makes, and that an update has to keep."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path

SETTINGS = "app/settings.py"
EMAILS = "app/emails/__init__.py"
LAYOUT = "app/emails/layout.html"
ROUTES = "app/api/__init__.py"

REMINDER = '''

def reminder(recipient: str, order_id: str, settings: Settings) -> Message:
    """Remind somebody of an order, once a day at most."""
    return compose(
        "reminder",
        settings,
        recipient=recipient,
        idempotency_key=f"reminder:{order_id}:{date.today()}",
        order_id=order_id,
    )
'''
ROUTE = '''"""A route of one's own."""

from fastapi import APIRouter

from app.problems import declared
from app.security import ApiKey

router = APIRouter(tags=["mail"])


@router.get("/reminders", summary="List", dependencies=[ApiKey], responses=declared(401))
async def reminders() -> list[str]:
    """List nothing yet."""
    return []
'''
NEW_FILES = {
    "app/api/reminders.py": ROUTE,
    "app/emails/reminder/subject.txt": "Your order {{ order_id }}\n",
    "app/emails/reminder/body.txt": (
        "Hello,\n\nyour order {{ order_id }} waits for you.\n\n{{ service_name }}\n"
    ),
    "app/emails/reminder/body.html": (
        '{% extends "layout.html" %}\n'
        "{% block content %}\n"
        "    <p>Your order {{ order_id }} waits for you.</p>\n"
        "{% endblock %}\n"
    ),
}
SETTING = '''    support_email: EmailStr = "help@acme.dev"
    """Where readers of our mail write to."""

'''
TESTS = {
    "tests/test_emails.py": (
        '        emails.reminder("ada@example.com", "1001", settings),\n',
        "    ]\n\n\ndef test_injection",
    ),
    "tests/test_openapi.py": (
        '    ("get", "/reminders"): ("reminders", {200, 401, 500}),\n',
        '    ("post", "/notify")',
    ),
    "tests/test_security.py": (
        '    ("GET", "/reminders"): None,\n',
        '    ("POST", "/notify"): SIGNUP',
    ),
}
"""What the service's tests ask about each new email and route: a line, and the one after it."""


def edit(project: Path) -> Path:
    """Add a setting, an email, a route and a dependency, and change the layout."""
    for name, content in NEW_FILES.items():
        path = project / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    insert(project / SETTINGS, SETTING, before="    database_path: Path")
    emails = project / EMAILS
    insert(emails, "from datetime import date\n", before="from hashlib")
    emails.write_text(emails.read_text("utf-8") + REMINDER, encoding="utf-8")
    include(project / ROUTES)
    for name, (line, before) in TESTS.items():
        insert(project / name, line, before=before)
    insert(project / "pyproject.toml", '  "markdown-it-py>=4",\n', before='  "poststack>=')
    replace(project / LAYOUT, "560px", "600px")
    return project


def include(routes: Path) -> None:
    """Put the new route among the others."""
    text = routes.read_text("utf-8")
    [names] = re.findall("^from app.api import (.+)$", text, re.MULTILINE)
    more = ", ".join(sorted([*names.split(", "), "reminders"]))
    routes.write_text(text.replace(names, more, 1), encoding="utf-8")
    line = "router.include_router("
    insert(routes, f"{line}reminders.router)\n", before=f"{line}signup.router)")


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
