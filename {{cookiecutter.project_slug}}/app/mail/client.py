"""PostStack's client: the SDK's, over connections of our choice, one for each process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from json import dumps
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from poststack import AsyncPostStack

from app.settings import Settings


@asynccontextmanager
async def open_poststack(
    settings: Settings, *, max_retries: int = 3
) -> AsyncIterator[AsyncPostStack]:
    """Open the client, and with it the one connection pool, of this process.

    `max_retries` are the SDK's own, within one call.
    """
    async with AsyncPostStack(
        api_key=settings.poststack_api_key.get_secret_value(),
        base_url=settings.base_url(),
        timeout=10.0,  # seconds, of one attempt
        max_retries=max_retries,
    ) as poststack:
        # httpx keeps 20 connections, and searches them in quadratic time. At 64 callers the SDK as
        # it comes makes 0.3 times the sends a second, each over a connection of its own, and 0.9
        # times over a transport for httpx, which needs no underscores but leaves httpx its work.
        # `tests/mail/test_client.py` notices when a new version of the SDK moves this seam.
        sdk = poststack._client
        sdk._httpx = Connections(sdk._httpx, settings)  # type: ignore[assignment]
        yield poststack


class Connections:
    """What the SDK asks of `httpx.AsyncClient`, done by aiohttp."""

    def __init__(self, replaced: httpx.AsyncClient, settings: Settings) -> None:
        self._settings = settings
        self._session = aiohttp.ClientSession(
            # No limit: behind one, who comes later takes a connection before who waits for it.
            connector=aiohttp.TCPConnector(limit=0, ssl=httpx.create_ssl_context()),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=replaced.headers,
            proxy=find_proxy(replaced.base_url),
            auto_decompress=False,
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        timeout: float,  # noqa: ASYNC109  the SDK's signature
        **options: Any,
    ) -> httpx.Response:
        """Make one attempt; raises `httpx.TransportError`, as the SDK expects."""
        url, limit = self._settings.base_url() + path, aiohttp.ClientTimeout(total=timeout)
        # aiohttp writes a file piece by piece, and bytes at once, attachments and all.
        body = None if json is None else BytesIO(dumps(json).encode())
        try:
            async with self._session.request(
                method, url, data=body, timeout=limit, allow_redirects=False, **options
            ) as answer:
                content = await answer.read()
        # Neither their reprs nor their stack traces, which can quote a proxy's password.
        except aiohttp.ClientResponseError as error:
            raise httpx.TransportError(f"{type(error).__name__}: {error.status}") from None
        except (aiohttp.ClientError, OSError) as error:  # a timeout is one
            raise httpx.TransportError(f"{type(error).__name__}: {error}") from None
        return httpx.Response(answer.status, headers=answer.raw_headers, content=content)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()


def find_proxy(url: httpx.URL) -> str | None:
    """Follow HTTPS_PROXY, ALL_PROXY and NO_PROXY; aiohttp would ask a thread, for every request."""
    proxies = getproxies()
    return None if proxy_bypass(url.host) else proxies.get(url.scheme) or proxies.get("all")
