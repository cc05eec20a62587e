"""The service, with routes that send a file of 5 MB in each way."""

from uuid import uuid4

from app.application import create_app
from app.mail.fields import Attachment
from app.mail.message import Message
from app.migrations import prepare_database
from app.settings import load_settings
from app.web.dependencies import MailerDep
from fastapi import APIRouter

router = APIRouter()


def message() -> Message:
    """Make a message with a file of its own."""
    content = uuid4().bytes * (5_000_000 // 16)
    return Message(
        sender="hello@acme.dev",
        recipient="ada@acme.dev",
        subject="Your file",
        html="<p>It is attached.</p>",
        text="It is attached.",
        attachments=(
            Attachment(
                filename="file.bin", content_type="application/octet-stream", content=content
            ),
        ),
        idempotency_key=f"file:{uuid4()}",
    )


@router.post("/send")
async def send(mailer: MailerDep) -> None:
    """Send and wait."""
    await mailer.send(message())


@router.post("/send_in_background")
async def send_in_background(mailer: MailerDep) -> None:
    """Send in the background."""
    mailer.send_in_background(message())


@router.post("/enqueue")
async def enqueue(mailer: MailerDep) -> None:
    """Enqueue."""
    await mailer.enqueue(message())


settings = load_settings()
prepare_database(settings)
app = create_app(settings)
app.include_router(router)
