"""The emails that the service sends: one function and one folder of templates each.

A function decides what the mail is about: who gets it, what it says, and the idempotency key
that names its reason.
"""

from hashlib import sha256
from uuid import uuid4

from app.emails.compose import compose
from app.messages import Message
from app.orders import Order
from app.settings import Settings
from app.users import User


def welcome(user: User, settings: Settings) -> Message:
    """Welcome a user, once in 72 hours however often they sign up: then PostStack forgets the key.

    The reason includes the wording: in other words a repeat would be a conflict at PostStack, from
    which a stranger could tell that the address is known.
    """
    message = compose(
        "welcome",
        settings,
        recipient=user.email,
        idempotency_key=f"welcome:{user.id}",
        name=user.name,
    )
    wording = sha256(f"{message.sender}{message.subject}{message.html}{message.text}".encode())
    key = f"{message.idempotency_key}:{wording.hexdigest()[:8]}"
    return message.model_copy(update={"idempotency_key": key})


def notice(recipient: str, name: str, settings: Settings) -> Message:
    """Tell somebody that something happened; every call is a reason of its own."""
    return compose(
        "notice",
        settings,
        recipient=recipient,
        idempotency_key=f"notice:{uuid4()}",
        name=name,
    )


def receipt(order: Order, settings: Settings) -> Message:
    """Confirm an order, once in 72 hours however often it is posted."""
    return compose(
        "receipt",
        settings,
        recipient=order.recipient,
        idempotency_key=f"receipt:{order.order_id}",
        order=order,
    )
