"""The emails of a signup."""

from app.examples.signup.users import User
from app.mail.message import Email


def welcome(user: User) -> Email:
    """Welcome a user, once in 72 hours however often they sign up: then PostStack forgets the key.

    The key includes the content: a repeat in other words would be a conflict at PostStack, from
    which a stranger could tell that the address is known.
    """
    return Email(
        template="examples/signup/welcome",
        recipient=user.email,
        idempotency_key=f"welcome:{user.id}",
        key_includes_content=True,
        context={"name": user.name},
    )
