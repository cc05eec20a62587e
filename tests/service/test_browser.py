"""The home page and the mailbox as a person uses them, in a real browser."""

import base64
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Route, expect

from harness.bakery import UV, Baker
from harness.ports import free_port
from harness.server import AUTHORIZED, running

NOTICE = "app/examples/notify/notice/body.html"
DEV = (UV, "run", "--no-sync", "fastapi", "dev")
ORDER = {
    "order_id": "1001",
    "recipient": "bob@example.com",
    "lines": [{"description": "Tea", "amount": "7.50"}],
    "total": "7.50",
}


@pytest.fixture(scope="module")
def project(browser: Browser, installed: Baker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service's folder, whose templates a test may change."""
    del browser  # which may skip the tests, and then nothing need be copied and started
    folder = tmp_path_factory.mktemp("browser")
    return shutil.copytree(installed(), folder / "acme-mail", symlinks=True)


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[str]:
    """A service in local development: no setting but a free port, and a database of its own."""
    port = str(free_port())
    url = f"http://127.0.0.1:{port}"
    settings = {
        "PORT": port,
        "DATABASE_URL": f"sqlite:///{project.parent}/db.sqlite3",
        "RECIPIENT_SIGNUPS_PER_HOUR": "1000",
    }
    with running(project, DEV, f"{url}/healthz", **settings):
        yield url


@pytest.fixture
def service(server: str) -> str:
    """The service, with an empty mailbox."""
    httpx.delete(f"{server}/sandbox/messages")
    return server


@pytest.fixture
def page(service: str, browser: Browser) -> Iterator[Page]:
    """A page of the service; none logs an error, and none loads anything from elsewhere."""
    # playwright's own choice of a scheme would also hold for a mail, whatever the page says.
    context = browser.new_context(base_url=service, color_scheme="null")
    page = context.new_page()
    faults: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            faults.append(f"{message.type}: {message.text}")

    def on_request(request: Request) -> None:
        if not request.url.startswith((f"{service}/", "data:")):
            faults.append(f"external: {request.url}")

    context.on("console", on_console)
    context.on("weberror", lambda error: faults.append(str(error.error)))
    context.on("request", on_request)
    yield page
    assert not faults
    context.close()


def sign_up(service: str, email: str = "ada@example.com", name: str = "Ada") -> None:
    """Make the service send a welcome mail."""
    answer = httpx.post(f"{service}/signup", json={"email": email, "name": name})
    assert answer.status_code == 201


def post(service: str, **fields: object) -> str:
    """Post an email to the sandbox as PostStack's API takes it; return where the mailbox has it."""
    email = {"from": "shop@example.com", "to": ["ada@example.com"], "subject": "Hi", "html": "Hi"}
    headers = {"Authorization": f"Bearer {httpx.get(f'{service}/sandbox/guide').json()['api_key']}"}
    answer = httpx.post(f"{service}/sandbox/emails", json=email | fields, headers=headers)
    assert answer.status_code == 202, answer.text
    return f"/sandbox/#{answer.json()['id']}"


def open_mailbox(page: Page) -> None:
    """Open the mailbox from the home page."""
    page.goto("/")
    page.get_by_role("link", name="Mailbox").click()
    expect(page).to_have_title(re.compile("Mailbox"))


def test_read(service: str, page: Page) -> None:
    """From the home page to the mailbox, where a mail can be read in its three forms."""
    sign_up(service)
    open_mailbox(page)

    page.locator("#messages a").click()
    expect(page.locator("#subject")).to_have_text("Welcome to Acme Mail")
    mail = page.frame_locator("iframe[title='The message as HTML']")
    expect(mail.get_by_role("heading", name="Welcome!")).to_be_visible()
    expect(page.locator("#status")).to_have_attribute("data-status", "delivered")

    page.get_by_role("tab", name="Text").click()
    expect(page.locator("#panel-text")).to_contain_text("Welcome!")
    expect(page.locator("iframe")).to_be_hidden()

    page.get_by_role("tab", name="Source").click()
    expect(page.locator("#panel-source")).to_contain_text('"to": [\n    "ada@example.com"\n  ]')

    page.get_by_role("tab", name="Details").click()
    expect(page.locator("#panel-details")).to_contain_text("welcome:")


def test_arrives_by_itself(service: str, page: Page) -> None:
    """The page shows a first mail, and a second, without a reload; the read one stays open."""
    open_mailbox(page)
    expect(page.locator("#welcome")).to_be_visible()

    sign_up(service)
    page.locator("#messages a").click()
    expect(page.locator("#welcome")).to_be_hidden()
    answer = httpx.post(f"{service}/receipts", json=ORDER, headers=AUTHORIZED)
    assert answer.status_code == 202

    expect(page.locator("#messages a")).to_have_count(2)
    expect(page.locator("#messages a").first).to_contain_text("bob@example.com")
    expect(page.locator("#subject")).to_have_text("Welcome to Acme Mail")


def test_search_and_empty(service: str, page: Page) -> None:
    """A search narrows the list; emptying asks first, and forgets everything."""
    sign_up(service)
    sign_up(service, "bob@example.com", "Bob")
    open_mailbox(page)
    messages = page.locator("#messages a")
    expect(messages).to_have_count(2)

    search = page.get_by_role("searchbox", name="Search messages")
    search.fill("BOB@")
    expect(messages).to_have_count(1)
    search.fill("nobody")
    expect(page.locator("#no-match")).to_be_visible()
    search.press("Escape")
    expect(messages).to_have_count(2)

    page.locator("#empty").click()
    page.locator("#confirm-empty").get_by_role("button", name="Cancel").click()
    expect(page.locator("#confirm-empty")).to_be_hidden()
    expect(messages).to_have_count(2)
    page.locator("#empty").click()
    page.locator("#confirm-empty").get_by_role("button", name="Empty the mailbox").click()
    expect(page.locator("#welcome")).to_be_visible()
    expect(messages).to_have_count(0)
    assert httpx.get(f"{service}/sandbox/messages").json()["total"] == 0


def test_previews(service: str, project: Path, page: Page) -> None:
    """Each email is shown with its sample, in every form; an edit shows at once; none is sent."""
    page.goto("/")
    page.get_by_role("link", name="Previews").click()
    expect(page.get_by_role("heading", name="Previews")).to_be_visible()
    emails = page.locator("#messages a")
    expect(emails).to_have_count(len(list((project / "app").rglob("subject.txt"))))
    for email in emails.all():
        email.click()
        expect(page.locator("#subject")).to_have_text(email.locator(".subject").inner_text())
        expect(page.frame_locator("iframe").locator("body")).to_contain_text("Acme Mail")
        page.get_by_role("tab", name="Text").click()
        expect(page.locator("#panel-text")).to_contain_text("Acme Mail")
        page.get_by_role("tab", name="Source").click()
        expect(page.locator("#panel-source")).to_contain_text("ada@example.com")
        page.get_by_role("tab", name="HTML").click()

    emails.filter(has_text="notice").click()
    mail = page.frame_locator("iframe").locator("body")
    full = page.locator("#panel-html").evaluate("panel => getComputedStyle(panel).width")
    dark = "matchMedia('(prefers-color-scheme: dark)').matches"
    for width, pixels, scheme in (("Phone", "390px", "Dark"), ("Desktop", full, "Light")):
        page.get_by_role("radio", name=width).check()
        page.get_by_role("radio", name=scheme).check()
        expect(page.locator("iframe")).to_have_css("width", pixels)
        deadline = time.monotonic() + 5
        while page.frames[1].evaluate(dark) != (scheme == "Dark"):
            assert time.monotonic() < deadline

    template = project / NOTICE
    before = template.read_text()
    template.write_text(before.replace("something", "much"))
    expect(mail).to_contain_text("much happened")
    template.write_text(before.replace("name", "nom"))
    expect(page.locator("#error")).to_contain_text("notice/body.html, line 4: 'nom' is undefined")
    expect(page.locator("iframe")).to_be_hidden()
    expect(emails.filter(has_text="broken")).to_have_count(1)
    template.write_text(before)
    expect(mail).to_contain_text("something happened")

    for text in ("Empty", "Test recipients"):
        expect(page.get_by_role("button", name=text)).to_be_hidden()
    assert httpx.get(f"{service}/sandbox/messages").json()["total"] == 0


def test_everything(service: str, page: Page) -> None:
    """The mailbox shows all that a mail can carry, and an attachment comes back byte for byte."""
    content = bytes(range(256))
    file = {"filename": "terms & more.bin", "content": base64.b64encode(content).decode()}
    shop = '"Shop, Inc." <shop@example.com>'
    fields = {
        "from": shop,
        "reply_to": "help@example.com",
        "cc": ["bob@example.com"],
        "bcc": ["eve@example.com"],
        "tags": ["invoice"],
        "headers": {"X-Order": "1001"},
        "attachments": [file],
        "unsubscribe": True,
        "tracking": {"opens": True, "clicks": False},
    }
    page.goto(post(service, **fields))

    for name, shown in (
        ("From", shop),
        ("Reply to", "help@example.com"),
        ("Cc", "bob@example.com"),
        ("Bcc", "eve@example.com"),
        ("Tags", "invoice"),
        ("Unsubscribe", "yes"),
        ("Tracking", "opens"),
    ):
        expect(page.locator(f"#summary dt:text-is('{name}') + dd")).to_have_text(shown)
    with page.expect_download() as download:
        page.get_by_role("link", name="terms & more.bin").click()
    assert download.value.suggested_filename == "terms & more.bin"
    assert download.value.path().read_bytes() == content
    page.get_by_role("tab", name="Details").click()
    expect(page.locator("#panel-details")).to_contain_text("X-Order")


def test_scheduled(service: str, page: Page) -> None:
    """What waits for its time can be given another, sent now, or cancelled."""
    moved, cancelled = [post(service, scheduled_at="2999-01-01T09:00:00Z") for _ in range(2)]
    page.goto(moved)
    page.get_by_label("Send at").fill("2998-12-24T09:00")
    page.get_by_role("button", name="Reschedule").click()
    expect(page.locator("#summary")).to_contain_text("2998")
    page.get_by_role("button", name="Send now").click()
    expect(page.locator("#status")).to_have_text("delivered")
    expect(page.locator("#schedule")).to_be_hidden()

    page.goto(cancelled)
    expect(page.locator("#status")).to_have_text("scheduled")
    page.locator("#schedule").get_by_role("button", name="Cancel").click()
    expect(page.locator("#status")).to_have_text("failed")
    expect(page.locator("#schedule")).to_be_hidden()


def test_bounce(service: str, page: Page) -> None:
    """A test recipient bounces in sight, and the service then refuses to write to it."""
    open_mailbox(page)
    page.locator("#show-recipients").click()
    address = page.locator("#recipient-list code").filter(has_text="bounced@").inner_text()
    # The home page's command uses up the address as it is.
    address = address.replace("@", "+browser@")
    page.locator("#recipients").get_by_role("button", name="Close").click()

    sign_up(service, address)
    expect(page.locator("#messages .status")).to_have_attribute("data-status", "bounced")

    email_id = (page.locator("#messages a").get_attribute("href") or "").lstrip("#")
    deadline = time.monotonic() + 5
    found = f"{service}/emails/{email_id}"
    while httpx.get(found, headers=AUTHORIZED).json()["status"] != "bounced":
        assert time.monotonic() < deadline
    lines = [{"description": "Tea", "amount": "7.50"}]
    order = {"order_id": "1", "recipient": address, "lines": lines, "total": "7.50"}
    assert httpx.post(f"{service}/receipts", json=order, headers=AUTHORIZED).status_code == 422


def test_keyboard(service: str, page: Page) -> None:
    """Mails are opened and left without a mouse."""
    sign_up(service)
    open_mailbox(page)
    expect(page.locator("#messages a")).to_have_count(1)

    page.keyboard.press("j")
    expect(page.locator("#message")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#message")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()


def test_home(service: str, page: Page) -> None:
    """The home page has a command for each route that sends mail, and each works as it stands."""
    page.goto("/")

    figures = page.locator("figure")
    expect(figures).to_have_count(4)
    for figure in figures.all():
        command = figure.locator("pre").inner_text()
        assert command.startswith(f"curl {service}/")
        answer = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
        assert set(json.loads(answer.stdout)) <= {"email_id", "idempotency_key"}


@pytest.mark.parametrize("width", [320, 390])
def test_phone(service: str, page: Page, width: int) -> None:
    """On a phone nothing is cut off or scrolls sideways; a mail has the screen to itself."""
    sign_up(service)
    page.set_viewport_size({"width": width, "height": 700})
    page.goto("/")

    def overflow() -> int:
        page_width: int = page.evaluate("document.documentElement.scrollWidth")
        return page_width - width

    assert overflow() <= 0
    page.get_by_role("link", name="Mailbox").click()
    page.locator("#messages a").click()
    expect(page.locator("#messages")).to_be_hidden()
    for name in ("HTML", "Text", "Source", "Details"):
        page.get_by_role("tab", name=name).click()
        assert overflow() <= 0
    page.locator("#back").click()
    expect(page.locator("#messages a")).to_be_visible()
    page.locator("#show-recipients").click()
    assert overflow() <= 0

    page.goto("/sandbox/previews")
    assert overflow() <= 0
    page.locator("#messages a").first.click()
    page.get_by_role("radio", name="Dark").check()
    assert overflow() <= 0
    page.goto(post(service, scheduled_at="2999-01-01T09:00:00Z"))
    expect(page.locator("#schedule")).to_be_visible()
    assert overflow() <= 0


def test_docs(service: str, browser: Browser, node_modules: Callable[[str], Path]) -> None:
    """The API's page works under its policy: authorize, try a route, get its answer."""
    files = node_modules("swagger-ui-dist@5") / "swagger-ui-dist"
    page = browser.new_page(base_url=service)
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))

    def cdn(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        route.fulfill(path=files / name)

    page.route("https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/*", cdn)
    page.goto("/docs")
    page.get_by_role("button", name="Authorize").click()
    page.get_by_role("textbox").fill(AUTHORIZED["Authorization"].removeprefix("Bearer "))
    page.locator(".auth-btn-wrapper .authorize").click()
    page.get_by_role("button", name="Close").click()

    receipts = page.locator(".opblock").filter(has_text="/receipts")
    receipts.locator(".opblock-summary").click()
    receipts.get_by_role("button", name="Try it out").click()
    receipts.get_by_role("textbox").fill(json.dumps(ORDER))
    receipts.get_by_role("button", name="Execute").click()
    expect(receipts.locator(".live-responses-table .response .response-col_status")).to_have_text(
        "202"
    )
    assert not faults
    page.close()
