"""The service's own `/signup` without a send: what all the rest of it takes."""

from app.mail import mailer
from app.mail.message import Message
from app.main import app
from poststack import AsyncPostStack


async def send(*_: AsyncPostStack | Message) -> str:
    """Do nothing."""
    return "em_1"


mailer.send = send
__all__ = ["app"]
