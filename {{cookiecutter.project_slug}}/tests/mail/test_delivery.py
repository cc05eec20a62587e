"""An attempt at a message, and what the mail log has of it."""

import pytest
from poststack import AsyncPostStack
from respx import Route

from app.database import Database
from app.mail.delivery import deliver
from app.mail.errors import MailError, TransientError
from app.mail.log import MailLog
from app.mail.message import Message
from tests.service import Logged


@pytest.mark.parametrize(
    ("status", "attempt", "expected"),
    [(503, None, "failed"), (503, 3, "queued"), (401, None, "refused"), (401, 3, "refused")],
)
async def test_failure(  # noqa: PLR0917  fixtures are arguments
    status: int,
    attempt: int | None,
    expected: str,
    poststack: AsyncPostStack,
    database: Database,
    message: Message,
    wire: Route,
) -> None:
    """What fails waits in a queue, or has failed where there is none; what is refused stays so."""
    log = MailLog(database)
    wire.respond(status, headers={"retry-after": "9"}, json={"error": "no", "code": "no"})

    with pytest.raises(MailError) as caught:
        await deliver(poststack, log, message, attempt=attempt)

    entry = await log.find("test:1")
    assert entry
    assert (entry.status, entry.reason) == (expected, str(caught.value))


async def test_without_log(
    poststack: AsyncPostStack, database: Database, message: Message, wire: Route, logged: Logged
) -> None:
    """The mail comes first; a queue makes another attempt, which completes the log."""
    log = MailLog(database)
    await database.fetch("ALTER TABLE emails RENAME TO away")
    try:
        assert await deliver(poststack, log, message) == "em_1"
        assert logged()[-1]["message"].startswith("accepted, but not in the mail log: ")
        assert logged()[-1]["idempotency_key"] == "test:1"
        with pytest.raises(TransientError, match="could not be written"):
            await deliver(poststack, log, message, attempt=1)
    finally:
        await database.fetch("ALTER TABLE away RENAME TO emails")
    assert await deliver(poststack, log, message, attempt=2) == "em_1"

    entry = await log.find("em_1")
    assert entry
    assert (entry.status, entry.idempotency_key) == ("accepted", "test:1")
    assert wire.call_count == 3
