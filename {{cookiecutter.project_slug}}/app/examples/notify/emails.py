"""The emails of a notice."""

from uuid import uuid4

from app.mail.message import Email


def notice(recipient: str, name: str) -> Email:
    """Notify somebody; each call is a reason of its own."""
    return Email(
        template="examples/notify/notice",
        recipient=recipient,
        idempotency_key=f"notice:{uuid4()}",
        context={"name": name},
    )
