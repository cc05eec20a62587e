"""The emails as their readers' programs show them: Gmail, Outlook, Apple Mail and Yahoo."""

import json
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page

from harness.bakery import REPOSITORY, SERVICE, UV, Baker, run

CLIENTS = ("gmail.*", "outlook.*", "apple-mail.*", "yahoo.*")
WITHOUT_STYLES = (
    "Gmail's website for phones drops style sheets. Width, padding and the light colours are"
    " inline; type and the lines of a table are the browser's own."
)
EXCEPTIONS = {
    "<style> element": ("gmail.mobile-webmail", WITHOUT_STYLES),
    "Type selector": ("gmail.mobile-webmail", WITHOUT_STYLES),
    "Class selector": ("gmail.mobile-webmail", WITHOUT_STYLES),
    "Descendant combinator": ("gmail.mobile-webmail", WITHOUT_STYLES),
    # The tool does not look into `@media`. `prefers-color-scheme` is unknown to Yahoo and all of
    # Gmail, too, with the same effect.
    "@media": ("gmail.mobile-webmail outlook.windows*", "The light colours remain."),
    "color-scheme meta tag": (
        "gmail.* outlook.* yahoo.* apple-mail.ios",
        "It keeps Apple Mail on a Mac from dark colours of its own making. Others ignore it.",
    ),
    "display:none": (
        "gmail.mobile-webmail",
        "The preheader is one pixel high there, and has the colour of its background.",
    ),
    "border-radius": ("outlook.windows*", "Corners are square."),
    "role attribute": (
        "outlook.windows-mail",
        "Keeps screen readers from announcing layout as tables. Windows Mail ended in 2024.",
    ),
    "word-break": (
        "yahoo.* outlook.windows-mail",
        "A word that is longer than its line makes the card wider.",
    ),
    "<body> element": (
        "yahoo.android yahoo.ios outlook.macos",
        "They keep its content alone, in which a table has the colour of the page.",
    ),
}
"""What a client does not know: feature, clients, and why the layout has it nevertheless."""

APP = REPOSITORY / SERVICE / "app"
NEW = "invitations/invitation"
"""The email of the page about a new one, `docs/add-an-email.md`."""

EMAILS = [*(path.parent.relative_to(APP).as_posix() for path in APP.rglob("subject.txt")), NEW]

LONG = {
    "examples/receipts/receipt": {
        "order": {
            "order_id": "1001",
            "lines": [{"description": '"' * 100, "amount": 9999999999.99} for _ in range(150)],
            "total": 9999999999.99,
            "currency": "EUR",
        }
    },
    "examples/notify/notice": {"name": "A" * 100},
}
"""The longest that callers may have printed."""

MAX_SIZE = 100_000
"""Gmail cuts off what comes after 102 KB of HTML."""

RENDER = """
import json, sys
from pathlib import Path
from app.mail import rendering
from app.mail.message import Email
from app.settings import Settings

folder = Path(sys.argv[1])
rendering.TEMPLATES = [rendering.TEMPLATES, folder]
settings = Settings(fastapi_env="development")
for template, context in json.loads((folder / "samples.json").read_text()):
    email = Email(template=template, recipient="a@b.de", idempotency_key="1", context=context)
    print(rendering.render(email, settings).model_dump_json())
"""
CHECK = """
import { readFileSync } from "node:fs";
import { caniemail } from "caniemail";

const [clients, html] = process.argv.slice(1);
const { issues } = caniemail({ clients: JSON.parse(clients), html: readFileSync(html, "utf8") });
const pairs = [...issues.errors].flatMap(([client, found]) => found.map((f) => [f.title, client]));
console.log(JSON.stringify(pairs));
"""


class Rendered(NamedTuple):
    """Both parts of an email."""

    html: str
    text: str


def render(project: Path, folder: Path, *samples: tuple[str, object]) -> list[Rendered]:
    """Render emails in a service's environment; their templates may also be in the folder."""
    folder.mkdir(exist_ok=True)
    (folder / "samples.json").write_text(json.dumps(samples))
    script = ("python", "-c", RENDER, str(folder))
    lines = run(UV, "run", "--no-sync", *script, cwd=project).splitlines()
    return [Rendered(html=mail["html"], text=mail["text"]) for mail in map(json.loads, lines)]


@pytest.fixture(scope="module")
def emails(installed: Baker, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rendered]:
    """The emails of a service, and that of its page about a new one, with their samples."""
    project, folder = installed(), tmp_path_factory.mktemp("emails")
    page = (project / "docs/add-an-email.md").read_text("utf-8")
    block = r"^`app/(\S+)`:\n\n```(?:jinja|json)\n(.*?)^```$"
    for name, code in re.findall(block, page, re.M | re.S):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(code, "utf-8")
    samples = []
    for name in EMAILS:
        path = (folder if name == NEW else project / "app") / name / "sample.json"
        samples.append((name, json.loads(path.read_text("utf-8"))))
    return dict(zip(EMAILS, render(project, folder, *samples), strict=True))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page as wide as a small phone, which nothing may ask for anything."""
    page = browser.new_page(viewport={"width": 320, "height": 600})
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    yield page
    assert requests == []
    page.close()


def words(text: str) -> list[str]:
    """List the words of a text, without the signs around them."""
    return [word for each in text.split() if (word := each.strip(".,:;!?"))]


def excused(feature: str, client: str) -> bool:
    """Tell whether the layout has a reason for what this client does not know."""
    clients, _ = EXCEPTIONS.get(feature, ("", ""))
    return any(fnmatch(client, pattern) for pattern in clients.split())


def test_clients(
    emails: dict[str, Rendered], node_modules: Callable[[str], Path], tmp_path: Path
) -> None:
    """The clients that people use know all that the emails need, but for what has a reason."""
    node = ("node", "--input-type=module", "-e", CHECK, json.dumps(CLIENTS))
    folder, errors = node_modules("caniemail@2.0.2").parent, set()
    for email in emails.values():
        path = tmp_path / "body.html"
        path.write_text(email.html, "utf-8")
        errors |= set(map(tuple, json.loads(run(*node, str(path), cwd=folder))))

    assert [error for error in sorted(errors) if not excused(*error)] == []
    assert {feature for feature, _ in errors} == set(EXCEPTIONS)


@pytest.mark.parametrize("name", EMAILS)
def test_parts_agree(name: str, emails: dict[str, Rendered], page: Page) -> None:
    """The HTML shows the words of the text in their order, and none that the text does not have.

    Nothing is loaded from elsewhere, nothing is wider than a phone, and the preheader is hidden.
    """
    html, text = emails[name]
    page.set_content(html)
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    hidden = page.locator("body > div").inner_text()
    page.evaluate("for (const link of document.links) link.append(` ${link.href}`)")
    shown = words(page.inner_text("body"))

    rest = iter(shown)
    assert [word for word in words(text) if word not in rest] == []
    assert set(shown) <= set(words(text))
    assert overflow <= 0
    assert not page.locator("body > div").is_visible()
    assert words(hidden)
    assert not re.search(r"\b(src|srcset|background)=|url\(|@import|<(link|script|img)\b", html)


def test_size(emails: dict[str, Rendered]) -> None:
    """Gmail shows all of an email, and the layout takes little of that."""
    assert max(len(email.html.encode()) for email in emails.values()) < MAX_SIZE / 20


def test_longest(installed: Baker, tmp_path: Path, page: Page) -> None:
    """Gmail shows all of the longest that callers may send, and a phone all of its width."""
    for email in render(installed(), tmp_path, *LONG.items()):
        assert len(email.html.encode()) < MAX_SIZE
        page.set_content(email.html)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
