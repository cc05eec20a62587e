"""Signed webhooks to the service, as PostStack sends them: repeated until answered with a 2xx."""

import asyncio
import hashlib
import hmac
import json
import logging
from typing import Any

import httpx

logger = logging.getLogger(__name__)

RETRY_DELAYS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class Webhooks:
    """Where events go. `secret` may be "new,old": both sign while a secret is being rotated."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._secrets = [part.strip() for part in secret.split(",") if part.strip()]
        # A mounted application is not told when to stop, so no connection is kept for later.
        self._client = httpx.AsyncClient(
            limits=httpx.Limits(max_connections=20, max_keepalive_connections=0),
            timeout=httpx.Timeout(10, pool=None),
            trust_env=False,
        )

    def sign(self, payload: bytes) -> str:
        """The value of `X-PostStack-Signature` for a raw body."""
        digests = (hmac.new(s.encode(), payload, hashlib.sha256) for s in self._secrets)
        return ",".join(f"sha256={digest.hexdigest()}" for digest in digests)

    async def send(self, event: dict[str, Any]) -> None:
        """Post one event; its id stays the same over the repeats."""
        payload = json.dumps(event).encode()
        for delay in (*RETRY_DELAYS, None):
            problem = await self._post(payload)
            if problem is None:
                return
            if delay is None:
                logger.warning("Gave up on %s %s: %s", event["type"], event["id"], problem)
            else:
                logger.info("%s %s: %s, again in %s s", event["type"], event["id"], problem, delay)
                await asyncio.sleep(delay)

    async def _post(self, payload: bytes) -> str | None:
        headers = {
            "Content-Type": "application/json",
            "X-PostStack-Signature": self.sign(payload),
        }
        try:
            response = await self._client.post(self._url, content=payload, headers=headers)
        except httpx.HTTPError as error:
            return repr(error)
        return None if response.is_success else f"answered {response.status_code}"
