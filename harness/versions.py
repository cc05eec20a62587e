"""Two versions of the template, to update a service from the one to the other."""

from pathlib import Path

from harness.bakery import SERVICE
from harness.edits import LAYOUT, SETTINGS, insert, replace

OLD, NEW = "0.0.1", "0.0.2"
ADDED = "app/brisk.py"
"""A file that only the newer version has."""


def plant(template: Path) -> None:
    """Change a template as its next version might: beside a user's edits, and on top of one."""
    service = template / SERVICE
    insert(
        service / SETTINGS,
        '    brisk: bool = True\n    """From the next version."""\n\n',
        before="    port: int",
    )
    replace(service / LAYOUT, "line-height: 20px", "line-height: 24px")
    content = "{% block content %}{% endblock %}\n"
    replace(service / LAYOUT, content, f"{content}    <hr>\n")
    (service / ADDED).write_text('"""New in the next version."""\n', encoding="utf-8")
    replace(service / ".env.example", "# Copy to .env.", "# Brisk: copy to .env.")
