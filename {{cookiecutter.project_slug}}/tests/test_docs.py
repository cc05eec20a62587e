"""The documentation is true where that can be checked: the settings, and every link."""

import json
import re
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT
from pathlib import Path
from typing import Any

import pytest
import respx
from poststack import AsyncPostStack

from app.dispatch import DispatchSettings
from app.orders import Order
from tests.settings_page import PAGE, page
from tests.test_roads import ORDER

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


async def test_batch(
    poststack: AsyncPostStack, router: respx.MockRouter, settings: DispatchSettings
) -> None:
    """The example of many mails works as it stands, and a second run sends the same keys."""
    text = (PROJECT / "docs/batch.md").read_text("utf-8")
    [code] = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    program = compile(code, "batch.md", "exec", PyCF_ALLOW_TOP_LEVEL_AWAIT)
    batches = router.post(path="/emails/batch").respond(401, json={"error": "No."})
    orders = [Order.model_validate(ORDER)]
    names: dict[str, Any] = {"poststack": poststack, "settings": settings, "orders": orders}

    for _ in range(2):
        await eval(program, names)  # noqa: S307  our own page
        assert names["failed"] == names["messages"]

    first, second = (call.request.content for call in batches.calls)
    assert first == second
    assert json.loads(first)["emails"][0]["idempotency_key"] == "receipt:1001"


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
