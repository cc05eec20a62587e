"""The guide's pitfalls: what a reviewer would have to see, `poe check` sees.

Each line has a fault, and a comment that silences the tool for it. A comment that silences nothing
is an error itself (ruff's RUF100, mypy's `warn_unused_ignores`), so neither rule can go unnoticed.
"""

from poststack import PostStack  # noqa: TID251  it blocks the event loop

from app.mail.mailer import Mailer
from app.mail.message import Message


async def forget_to_await(mailer: Mailer, message: Message) -> type[PostStack]:
    """Send nothing."""
    mailer.send(message)  # type: ignore[unused-coroutine]
    return PostStack
