"""The mail log, written by several machines at once."""

import asyncio
from datetime import timedelta

from pydantic import SecretStr

from app.database import Database, open_database
from app.mail.log import MailLog, Outcome
from app.mail.message import Message, utc_now
from app.settings import Settings


async def test_clocks(database: Database, message: Message) -> None:
    """The acceptance counts, and a later attempt, also where a worker's clock is behind."""
    log, now = MailLog(database), utc_now()
    late = now - timedelta(seconds=5)
    for outcome, expected in (
        (Outcome("queued", attempts=0, at=now), "queued"),
        (Outcome("refused", attempts=1, at=late), "refused"),
        (Outcome("queued", attempts=0, at=now), "queued"),  # an operator has queued it again
        (Outcome("accepted", "em_1", attempts=1, at=late), "accepted"),
        (Outcome("queued", attempts=2, at=now), "accepted"),
        (Outcome("failed", attempts=3, at=now), "accepted"),
    ):
        await log.record(message, outcome)
        entry = await log.find(message.idempotency_key)
        assert entry
        assert (entry.status, entry.email_id) == (expected, outcome.email_id or entry.email_id)


async def test_same_messages(settings: Settings, database_url: str, message: Message) -> None:
    """Two machines write about the same messages in opposite orders, and none stops the other."""
    settings = settings.model_copy(update={"database_url": SecretStr(database_url)})
    messages = [message.model_copy(update={"idempotency_key": f"test:{n}"}) for n in range(100)]
    async with open_database(settings) as here, open_database(settings) as there:
        logs = MailLog(here), MailLog(there)
        for _ in range(5):
            await asyncio.gather(
                *(logs[0].record(each, Outcome("queued")) for each in messages),
                *(logs[1].record(each, Outcome("queued")) for each in reversed(messages)),
            )
        entries = [await logs[0].find(each.idempotency_key) for each in messages]
    assert {entry and entry.status for entry in entries} == {"queued"}
