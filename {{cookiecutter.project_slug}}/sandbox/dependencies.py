"""What the routes share."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from sandbox.delivery import Delivery
from sandbox.errors import ApiError
from sandbox.messages import Message
from sandbox.store import Store


@dataclass
class Sandbox:
    """The state of one sandbox."""

    api_key: str
    store: Store
    delivery: Delivery
    # Refused attempts per message, for the magic recipients that heal.
    attempts: Counter[str] = field(default_factory=Counter)

    def existing(self, message_id: str) -> Message:
        """The message, or a 404."""
        message = self.store.get(message_id)
        if message is None:
            raise ApiError(404, "Email not found")
        return message


async def get_sandbox(request: Request) -> Sandbox:
    """The application's state."""
    sandbox: Sandbox = request.app.state.sandbox
    return sandbox


SandboxDep = Annotated[Sandbox, Depends(get_sandbox)]


async def authenticate(request: Request, sandbox: SandboxDep) -> None:
    """Refuse a caller without the API key."""
    if request.headers.get("authorization") != f"Bearer {sandbox.api_key}":
        raise ApiError(401, "Invalid API key")
