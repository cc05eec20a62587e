"""What the routes share."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request

from sandbox.delivery import Delivery
from sandbox.errors import ApiError
from sandbox.messages import Message
from sandbox.store import Store

Previews = Callable[[], Mapping[str, dict[str, Any]]]
"""Makes each email's JSON with sample data, or `{"error": ...}`, by the email's name."""


@dataclass
class Sandbox:
    """The state of one sandbox."""

    api_key: str
    store: Store
    delivery: Delivery
    previews: Previews | None = None
    attempts: Counter[str] = field(default_factory=Counter)
    """How often a message was refused by a test recipient that accepts a later attempt."""

    def message(self, message_id: str) -> Message:
        """The message of this id, or a 404."""
        message = self.store.get(message_id)
        if message is None:
            raise ApiError(404, "Email not found")
        return message


async def get_sandbox(request: Request) -> Sandbox:
    """The application's state. Deliveries resume here: a mounted application has no lifespan."""
    sandbox: Sandbox = request.app.state.sandbox
    sandbox.delivery.resume()
    return sandbox


SandboxDep = Annotated[Sandbox, Depends(get_sandbox)]


async def authenticate(request: Request, sandbox: SandboxDep) -> None:
    """Require the API key."""
    if request.headers.get("authorization") != f"Bearer {sandbox.api_key}":
        raise ApiError(401, "Invalid API key")
