"""The documentation is true where that can be checked: the settings, and every link."""

import re
from pathlib import Path

import pytest

from app.dispatch import DispatchSettings
from tests.settings_page import PAGE, page

PROJECT = Path(__file__).parents[1]
PAGES = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")]


def anchors(path: Path) -> set[str]:
    """List the anchors of a page's headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_settings() -> None:
    """The page names every setting, and is what `uv run poe settings` would write now."""
    assert re.findall(r"^\| `([A-Z_]+)`", page(), re.MULTILINE) == [
        name.upper() for name in DispatchSettings.model_fields
    ]
    assert PAGE.read_text(encoding="utf-8") == page(), "run `uv run poe settings`"


@pytest.mark.parametrize("name", DispatchSettings.model_fields)
def test_settings_say_what_they_do(name: str) -> None:
    """No setting is without a description."""
    assert DispatchSettings.model_fields[name].description


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links(path: Path) -> None:
    """A link within the project leads to a file, and to a heading in it."""
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if "://" not in link:
            name, _, anchor = link.partition("#")
            target = path.parent / name if name else path
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_readme_leads_everywhere() -> None:
    """Every page is one step away from the README."""
    links = set(re.findall(r"\]\(([^)\s#]+)\)", (PROJECT / "README.md").read_text("utf-8")))

    assert {path.relative_to(PROJECT).as_posix() for path in PAGES} - {"README.md"} <= links
