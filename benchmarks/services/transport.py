"""The service's own app over the SDK's public seam: an httpx transport, here of aiohttp."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import aiohttp
import httpx
from app import application
from app.settings import Settings
from poststack import AsyncPostStackClient
from poststack.resources import AsyncEmailsResource


class Transport(httpx.AsyncBaseTransport):
    """As little between httpx and aiohttp as goes."""

    def __init__(self) -> None:
        """Open the connections when they are needed."""
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on."""
        headers = [(k.decode(), v.decode()) for k, v in request.headers.raw if k != b"Host"]
        async with self._session.request(
            request.method, str(request.url), headers=headers, data=request.content
        ) as answer:
            body = await answer.read()
        return httpx.Response(answer.status, headers=answer.raw_headers, content=body)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()


@asynccontextmanager
async def open_poststack(settings: Settings) -> AsyncIterator[SimpleNamespace]:
    """Open what the routes need of a client."""
    key = settings.poststack_api_key.get_secret_value()
    url = settings.base_url()
    async with AsyncPostStackClient(key, url, transport=Transport()) as client:
        yield SimpleNamespace(emails=AsyncEmailsResource(client))


application.open_poststack = open_poststack

from app.main import app  # noqa: E402  which is built when it is imported

__all__ = ["app"]
