"""Write the table of `settings.md` from the settings' descriptions: `uv run poe settings`."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr, ValidationError

from app.settings import Settings

PAGE = Path(__file__).with_suffix(".md")


def page() -> str:
    """Return the page as it stands, with the rows of its table written anew."""
    head, line, _ = PAGE.read_text(encoding="utf-8").partition("|---|---|---|\n")
    return head + line + "".join(f"| {' | '.join(cells)} |\n" for cells in rows())


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
