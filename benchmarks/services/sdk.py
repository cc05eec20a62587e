"""The service's own app over the SDK as it comes: what it holds without aiohttp."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType

from app.settings import Settings
from poststack import AsyncPostStack


@asynccontextmanager
async def open_poststack(settings: Settings) -> AsyncIterator[AsyncPostStack]:
    """Open the client as the guide does."""
    key = settings.poststack_api_key.get_secret_value()
    async with AsyncPostStack(api_key=key, base_url=settings.base_url()) as poststack:
        yield poststack


# In the place of the module that imports aiohttp.
client = ModuleType("app.mail.client")
vars(client)["open_poststack"] = open_poststack
sys.modules[client.__name__] = client

from app.main import app  # noqa: E402  after what it would import

__all__ = ["app"]
