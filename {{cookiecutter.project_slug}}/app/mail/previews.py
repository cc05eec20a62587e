"""Each email, rendered with the `sample.json` beside its templates: what the sandbox shows."""

import json
import traceback
from pathlib import Path
from typing import Any

from jinja2 import UndefinedError

from app.mail.message import Email
from app.mail.rendering import TEMPLATES, render
from app.mail.sender import payload
from app.settings import Settings

EXAMPLE = '{"name": "Ada"}'


def previews(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return what PostStack would receive of each email, or `{"error": ...}` for a broken one."""
    folders = sorted(path.parent for path in TEMPLATES.rglob("subject.txt"))
    templates = [folder.relative_to(TEMPLATES).as_posix() for folder in folders]
    return {template: preview(template, settings) for template in templates}


def preview(template: str, settings: Settings) -> dict[str, Any]:
    """Render one email with its sample."""
    try:
        return payload(render(sample_email(template), settings))
    except Exception as error:  # whatever a template raises
        return {"error": explain(error)}


def sample_email(template: str) -> Email:
    """Make an email of its sample, or raise what is wrong with that."""
    path = TEMPLATES / template / "sample.json"
    name = path.relative_to(TEMPLATES.parent)
    try:
        context = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        advice = f"Write into it what the templates print, such as {EXAMPLE}"
        raise ValueError(f"{name} is missing. {advice}") from None
    except ValueError as error:
        raise ValueError(f"{name} is not JSON: {error}") from error
    if not isinstance(context, dict):
        raise TypeError(f"{name} is not a JSON object, such as {EXAMPLE}")
    return Email(
        template=template,
        recipient="ada@example.com",
        idempotency_key=f"preview:{template}",
        context=context,
    )


def explain(error: Exception) -> str:
    """Say what is wrong and, if a template is, in which line: Jinja puts those in tracebacks."""
    frames = traceback.extract_tb(error.__traceback__)
    templates = [frame for frame in frames if frame.filename.endswith((".html", ".txt"))]
    place = ""
    for template in templates[-1:]:
        file = Path(template.filename).relative_to(TEMPLATES.parent)
        place = f"{file}, line {template.lineno}: "
    advice = ". Correct it, or add it to sample.json" if isinstance(error, UndefinedError) else ""
    return f"{place}{error}{advice}"
