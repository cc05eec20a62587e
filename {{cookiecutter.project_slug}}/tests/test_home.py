"""The page at `/`: helpful on a desk, silent in production."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from app.dispatch import DispatchSettings
from app.main import create_app
from app.settings import DEVELOPMENT_API_KEY, SANDBOX_KEY
from sandbox.recipients import find_magic


@asynccontextmanager
async def browser(settings: DispatchSettings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service with these settings; the page needs no lifespan."""
    transport = httpx.ASGITransport(create_app(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


def desk(**update: object) -> DispatchSettings:
    """Settings as they are without any environment, in development."""
    return DispatchSettings(fastapi_env="development").model_copy(update=update)


async def test_desk() -> None:
    """Without a key it leads to the mailbox, to the API, and to commands for this very port."""
    async with browser(desk(port=8123)) as client:
        page = await client.get("/")
        for link in re.findall(r'<a href="([^"]+)"', page.text):
            assert (await client.get(f"/{link}")).status_code == 200

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert re.findall(r'<a href="([^"]+)"', page.text) == ["sandbox/", "docs"]
    commands = re.findall(r"<pre>curl http://127\.0\.0\.1:8123(/\w+) \\\n  --", page.text)
    assert commands == ["/signup", "/receipts", "/signup"]
    assert f'"Authorization: Bearer {DEVELOPMENT_API_KEY}" \\' in page.text.replace("&#34;", '"')
    [magic] = re.findall(r"\w+@sandbox\.poststack\.dev", page.text)
    assert find_magic([magic])[0].events[-1] == "bounced"


async def test_production(settings: DispatchSettings) -> None:
    """With a key there is no mailbox, no command and no script, and nobody finds a sandbox."""
    async with browser(settings.model_copy(update={"fastapi_env": "production"})) as client:
        page = (await client.get("/")).text
        assert (await client.get("/sandbox/")).status_code == 404

    assert re.findall(r'<a href="([^"]+)"', page) == ["docs"]
    for word in ("sandbox", "curl", "<script", "127.0.0.1", "sk_test", "whsec"):
        assert word not in page.lower()


async def test_own_key() -> None:
    """Keys of your own are on no page, not even on your desk."""
    settings = DispatchSettings(fastapi_env="development", api_keys="planted")
    async with browser(settings) as client:
        page = (await client.get("/")).text

    assert "planted" not in page
    assert "Authorization: Bearer $API_KEY" in page


async def test_headers() -> None:
    """The page runs what it brought along and nothing else; what people type is text in it."""
    async with browser(desk(service_name="<script>alert(1)</script>")) as client:
        pages = [await client.get("/") for _ in range(2)]

    assert "<script>alert" not in pages[0].text
    nonces = []
    for page in pages:
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy
        [nonce] = set(re.findall(r"nonce-([\w-]+)", policy))
        assert page.text.count(f'nonce="{nonce}"') == 2
        nonces.append(nonce)
    assert nonces[0] != nonces[1]
    assert desk().poststack_api_key.get_secret_value() == SANDBOX_KEY
    assert SANDBOX_KEY not in pages[0].text
    assert not re.search(r'(src|href)="(https?:)?//', pages[0].text)
