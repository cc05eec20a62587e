"""PostStack's client: the SDK's, over connections of our choice, one for each process."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from io import BytesIO
from json import dumps
from typing import Any
from urllib.parse import urlsplit
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
    proxy = find_proxy(settings)
    with no_proxy():
        poststack = AsyncPostStack(
            api_key=settings.poststack_api_key.get_secret_value(),
            base_url=settings.base_url(),
            timeout=10.0,  # seconds, of one attempt
            max_retries=max_retries,
        )
    async with poststack:
        # httpx keeps 20 connections, and searches them in quadratic time. At 64 callers the SDK as
        # it comes makes 0.3 times the sends a second, each over a connection of its own, and 0.9
        # times over a transport for httpx, which needs no underscores but leaves httpx its work.
        # `tests/mail/test_client.py` notices when a new version of the SDK moves this seam.
        sdk = poststack._client
        sdk._httpx = Connections(sdk._httpx, settings, proxy)  # type: ignore[assignment]
        yield poststack


class Connections:
    """What the SDK asks of `httpx.AsyncClient`, done by aiohttp."""

    def __init__(self, replaced: httpx.AsyncClient, settings: Settings, proxy: str | None) -> None:
        self._settings = settings
        self._session = aiohttp.ClientSession(
            # No limit: behind one, who comes later takes a connection before who waits for it.
            connector=aiohttp.TCPConnector(limit=0, ssl=httpx.create_ssl_context()),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=replaced.headers,
            proxy=proxy,
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


def check_connection(settings: Settings) -> None:
    """Exit with one line if the environment's proxy or certificate authorities cannot be used.

    Before the server starts: uvicorn would show a stack trace.
    """
    find_proxy(settings)
    try:
        httpx.create_ssl_context()
    except OSError as error:
        raise SystemExit(
            f"The service cannot start: certificates cannot be read ({error}). "
            "Correct or unset SSL_CERT_FILE and SSL_CERT_DIR."
        ) from None


def find_proxy(settings: Settings) -> str | None:
    """Follow HTTPS_PROXY, ALL_PROXY and NO_PROXY; aiohttp would ask a thread, for every request.

    No proxy leads to this machine, where the sandbox is. One that is not HTTP ends the process.
    """
    url, proxies = urlsplit(settings.base_url()), getproxies()
    host = url.hostname or ""
    here = settings.sandbox or host in ("localhost", "127.0.0.1", "::1")
    kind = url.scheme if proxies.get(url.scheme) else "all"
    proxy = proxies.get(kind)
    if not proxy or here or proxy_bypass(host):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if not is_http(proxy):
        # Without the value, which can have a password.
        raise SystemExit(
            f"The service cannot start: {kind.upper()}_PROXY is not an http:// or https:// URL, "
            f"and no other proxy is supported. Set {url.scheme.upper()}_PROXY to an HTTP proxy, "
            f"or NO_PROXY={host}."
        )
    return proxy


def is_http(proxy: str) -> bool:
    """Tell whether aiohttp can use a proxy's URL."""
    try:
        parts = urlsplit(proxy)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


@contextmanager
def no_proxy() -> Iterator[None]:
    """Hide the environment's proxies from the client that the SDK makes, and which is replaced.

    It would raise an ImportError for a SOCKS proxy, which need not be PostStack's.
    """
    before = os.environ.get("no_proxy")
    os.environ["no_proxy"] = "*"
    try:
        yield
    finally:
        del os.environ["no_proxy"]
        if before is not None:
            os.environ["no_proxy"] = before
