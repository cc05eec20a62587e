"""Signed webhooks to the service, as PostStack sends them: repeated until answered with a 2xx."""

import asyncio
import hashlib
import hmac
import json
import logging
import ssl
from typing import Any

import httpx

logger = logging.getLogger(__name__)

RETRY_DELAYS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
MAX_CONNECTIONS = 20
TIMEOUT = 10.0


class Webhooks:
    """Where events go. `secret` may be "new,old": both sign while a secret is being rotated."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._secrets = [part.strip() for part in secret.split(",") if part.strip()]
        if not self._secrets:
            raise ValueError("webhook_secret is empty")
        # Made once because it costs 20 ms; each delivery then opens and closes its own client,
        # since nobody tells a mounted application when to close a shared one.
        self._tls = ssl.create_default_context()
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)

    def sign(self, payload: bytes) -> str:
        """The value of `X-PostStack-Signature` for a raw body."""
        digests = (hmac.new(s.encode(), payload, hashlib.sha256) for s in self._secrets)
        return ",".join(f"sha256={digest.hexdigest()}" for digest in digests)

    async def send(self, event: dict[str, Any]) -> None:
        """Post one event; its id stays the same over the repeats."""
        payload = json.dumps(event).encode()
        headers = {
            "Content-Type": "application/json",
            "X-PostStack-Signature": self.sign(payload),
        }
        for delay in (*RETRY_DELAYS, None):
            problem = await self._post(payload, headers)
            if problem is None:
                return
            if delay is None:
                logger.warning("Gave up on %s %s: %s", event["type"], event["id"], problem)
            else:
                logger.info("%s %s: %s, again in %s s", event["type"], event["id"], problem, delay)
                await asyncio.sleep(delay)

    async def _post(self, payload: bytes, headers: dict[str, str]) -> str | None:
        client = httpx.AsyncClient(verify=self._tls, timeout=TIMEOUT, trust_env=False)
        try:
            async with self._slots, client:
                response = await client.post(self._url, content=payload, headers=headers)
        except httpx.HTTPError as error:
            return repr(error)
        return None if response.is_success else f"answered {response.status_code}"
