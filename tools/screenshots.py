"""Make the README's screenshots from a fresh bake: `uv run python -m tools.screenshots`."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Literal

import httpx
from playwright.sync_api import Browser, Page, expect

from harness.bakery import REPOSITORY, UV, bake, copy_template, run
from harness.chromium import chromium, find_chromium
from harness.ports import free_port
from harness.server import AUTHORIZED, running

DOCS = REPOSITORY / "docs"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = {"desktop": 720, "phone": 390}
ORDER = {
    "order_id": "1001",
    "recipient": "ada@example.com",
    "lines": [
        {"description": "Earl Grey, 250 g", "amount": "12.50"},
        {"description": "Shortbread", "amount": "4.80"},
        {"description": "Delivery", "amount": "3.90"},
    ],
    "total": "21.20",
}


@contextmanager
def service(folder: Path) -> Iterator[str]:
    """Start a fresh service in local development."""
    project = bake("cookiecutter", copy_template(folder / "template", post_gen=False), folder, {})
    run(UV, "sync", "--quiet", cwd=project)
    port = str(free_port())
    url = f"http://127.0.0.1:{port}"
    with running(project, (UV, "run", "fastapi", "dev"), f"{url}/healthz", PORT=port):
        yield url


def send_some(url: str) -> None:
    """Fill the mailbox: signups, one of which bounces, and a receipt."""
    for name, email in (
        ("Grace", "grace@example.com"),
        ("Bob", "bounced@sandbox.poststack.dev"),
        ("Ada", "ada@example.com"),
    ):
        httpx.post(f"{url}/signup", json={"email": email, "name": name}).raise_for_status()
    httpx.post(f"{url}/receipts", json=ORDER, headers=AUTHORIZED).raise_for_status()


def open_receipt(page: Page, url: str) -> None:
    """Open the newest mail, once nothing moves any more."""
    page.goto(f"{url}/sandbox/")
    page.locator("#messages a").first.click()
    expect(page.locator("#status")).to_have_text("delivered")
    expect(page.locator("#messages [data-status=bounced]")).to_have_count(1)
    expect(page.frame_locator("iframe").get_by_role("cell", name="21.20")).to_be_visible()
    expect(page.locator("#messages .new")).to_have_count(0)


def show_email(browser: Browser, url: str) -> None:
    """Take the newest mail by itself, as wide as a window and a phone."""
    [newest, *_] = httpx.get(f"{url}/sandbox/messages").json()["messages"]
    for (device, width), scheme in product(WIDTHS.items(), SCHEMES):
        page = browser.new_page(
            color_scheme=scheme,
            device_scale_factor=2,
            viewport={"width": width, "height": 100},
        )
        page.goto(f"{url}/sandbox/messages/{newest['id']}/html")
        page.screenshot(path=DOCS / f"email-{device}-{scheme}.png", full_page=True)
        page.close()


def main(browser: Browser, url: str) -> None:
    """Take each picture in both colours."""
    send_some(url)
    show_email(browser, url)
    for scheme in SCHEMES:
        page = browser.new_page(
            color_scheme=scheme,
            device_scale_factor=1.25,
            locale="en-GB",
            viewport={"width": 1080, "height": 660},
        )
        open_receipt(page, url)
        page.screenshot(path=DOCS / f"mailbox-{scheme}.png")
        page.close()


if __name__ == "__main__":
    executable = find_chromium()
    if executable is None:
        raise SystemExit("No Chromium here: install one, or name it in $CHROMIUM.")
    with (
        tempfile.TemporaryDirectory() as folder,
        service(Path(folder)) as url,
        chromium(executable) as browser,
    ):
        main(browser, url)
