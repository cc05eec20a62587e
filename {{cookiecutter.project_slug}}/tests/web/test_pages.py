"""The pages for people: helpful in local development, silent in production."""

import re
from base64 import b64encode
from hashlib import sha256
from html import unescape

from httpx import ASGITransport, AsyncClient

from app.application import create_app
from app.settings import DEVELOPMENT_API_KEY, Settings
from tests.service import router

HOSTILE = "</title><script>alert(1)"


def browser(settings: Settings) -> AsyncClient:
    """A client of a service with these settings; the pages need no lifespan."""
    app = create_app(settings)
    app.include_router(router)
    return AsyncClient(transport=ASGITransport(app), base_url="http://service")


async def test_local() -> None:
    """Without a key it leads to mailbox, previews and API, with a command for each mail route."""
    async with browser(Settings(fastapi_env="development", port=8123)) as client:
        page = unescape((await client.get("/")).text)
        for link in ("sandbox/", "sandbox/previews", "docs"):
            assert (await client.get(f"/{link}")).status_code == 200

    assert re.findall(r'<a href="([^"]+)"', page) == ["sandbox/", "sandbox/previews", "docs"]
    commands = re.findall(r"<pre>curl http://127\.0\.0\.1:8123(/[\w-]+) \\\n", page)
    assert {"/send", "/send-in-background", "/enqueue"} <= set(commands)
    assert f'"Authorization: Bearer {DEVELOPMENT_API_KEY}" \\' in page


async def test_production(settings: Settings) -> None:
    """With a key there is no mailbox, no command and no script, and nobody finds a sandbox."""
    async with browser(settings.model_copy(update={"fastapi_env": "production"})) as client:
        page = (await client.get("/")).text
        assert (await client.get("/sandbox/")).status_code == 404

    assert re.findall(r'<a href="([^"]+)"', page) == ["docs"]
    for word in ("sandbox", "curl", "<script", "127.0.0.1", "sk_test", "whsec"):
        assert word not in page.lower()


async def test_policy() -> None:
    """The page runs no script, its style is its own, and it shows no key but the public one."""
    own = Settings(fastapi_env="development", service_name=HOSTILE, api_keys="planted")
    nonces = set()
    async with browser(own) as client:
        for page in [await client.get("/") for _ in range(2)]:
            assert "Authorization: Bearer $API_KEY" in unescape(page.text)
            assert not re.search(r'<script|planted|sk_test|(src|href)="(https?:)?//', page.text)
            policy = page.headers["content-security-policy"]
            [nonce] = re.findall(r"^default-src 'none'; style-src 'nonce-([\w-]+)'", policy)
            assert page.text.count(f'nonce="{nonce}"') == 1
            nonces.add(nonce)
    assert len(nonces) == 2


async def test_docs(settings: Settings) -> None:
    """The API's page runs its own script and Swagger UI, whatever the service is called."""
    async with browser(settings.model_copy(update={"service_name": HOSTILE})) as client:
        page = await client.get("/docs")
        assert (await client.get("/redoc")).status_code == 404

    [script] = re.findall("<script>(.*?)</script>", page.text, re.DOTALL)
    header = page.headers["content-security-policy"]
    policy = dict(rule.split(" ", 1) for rule in header.split("; "))
    assert policy["script-src"] == (
        "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/"
        f" 'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"
    )
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
