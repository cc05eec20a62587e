"""The page `docs/settings.md`, made from the settings: `uv run poe settings` writes it."""

from pathlib import Path

from pydantic import SecretStr, ValidationError

from app.dispatch import DispatchSettings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"

BAR = r"\|"
"""A bar that does not end a cell."""

HEAD = """\
# Settings

Each setting is an environment variable, or a line in a file `.env` beside this project's
`pyproject.toml`. What is set in the environment wins; what is empty counts as not set. The service
reads them once, at start. It refuses to start while one is missing or unsafe, and says which.

This page is made of the settings' own descriptions in the code. After a change of theirs write it
anew:

```console
$ uv run poe settings
```

| variable | default | what it does |
|---|---|---|
"""


def required() -> set[str]:
    """Find the settings whose default production refuses, whatever is set here."""
    try:
        DispatchSettings(fastapi_env="production", _env_file=None, _env_prefix="NOT_SET_")
    except ValidationError as error:
        return {str(problem["loc"][0]) for problem in error.errors()}
    return set()


def row(name: str, *, needed: bool) -> str:
    """Describe one setting."""
    field = DispatchSettings.model_fields[name]
    value = field.get_default(call_default_factory=True)
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    default = " ".join([f"`{text}`"] * bool(text) + ["**required in production**"] * needed)
    cells = (f"`{name.upper()}`", default, " ".join((field.description or "").split()))
    return f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |\n"


def page() -> str:
    """Write the whole page."""
    needed = required()
    rows = [row(name, needed=name in needed) for name in DispatchSettings.model_fields]
    return "".join([HEAD, *rows])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
