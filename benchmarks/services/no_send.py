"""The service's own `/signup` without a send: what all the rest of it takes."""

from app.api import signup
from app.main import app
from app.messages import Message
from poststack import AsyncPostStack


async def send(*_: AsyncPostStack | Message) -> str:
    """Do nothing."""
    return "em_1"


signup.send = send
__all__ = ["app"]
