"""Write `settings.md` from the settings' own descriptions: `uv run poe settings`."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr, ValidationError

from app.settings import Settings

PAGE = Path(__file__).with_suffix(".md")

HEAD = """\
# Settings

```console
$ uv run poe settings
```

writes this page from `app/settings.py`. Each setting is an environment variable, or a line in a
file `.env` beside `pyproject.toml`. The environment wins; an empty value counts as not set. The
service reads them at start, and refuses to start while one is missing or unsafe.

| variable | default | what it does |
|---|---|---|
"""


def page() -> str:
    """Write the whole page."""
    return HEAD + "".join(f"| {' | '.join(cells)} |\n" for cells in rows())


def rows() -> Iterator[list[str]]:
    """Describe each setting, and say whether production refuses its default."""
    refused = set()
    try:
        Settings(fastapi_env="production", _env_file=None, _env_prefix="NOT_SET_")
    except ValidationError as error:
        refused = {problem["loc"][0] for problem in error.errors()}
    for name, field in Settings.model_fields.items():
        value = field.get_default(call_default_factory=True)
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        default = [f"`{text}`"] * bool(text) + ["**required in production**"] * (name in refused)
        words = (field.description or "").split()
        cells = (f"`{name.upper()}`", " ".join(default), " ".join(words))
        yield [cell.replace("|", r"\|") for cell in cells]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
