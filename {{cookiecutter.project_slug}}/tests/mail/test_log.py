"""The mail log: what became of a message, in whichever order that becomes known."""

import asyncio
from datetime import timedelta
from itertools import permutations

import pytest

from app.database import Database, DatabaseError, open_database
from app.mail.events import Event, Events, EventType
from app.mail.log import Entry, MailLog, Outcome
from app.mail.message import Message, utc_now
from app.settings import Settings
from tests.databases import at

NOW = utc_now()


def event(kind: EventType, minutes: int = 0) -> Event:
    """Make an event of the mail `em_1`."""
    time = NOW + timedelta(minutes=minutes)
    return Event(id=kind, type=kind, email_id="em_1", recipient="ada@example.com", time=time)


async def found(log: MailLog, key: str = "test:1") -> Entry:
    """Find an entry that is there."""
    entry = await log.find(key)
    assert entry
    return entry


async def test_life(database: Database, message: Message) -> None:
    """A row goes from the queue over PostStack to what PostStack reports, by either key."""
    log, events = MailLog(database), Events(database)
    assert await log.find("test:1") is None
    await log.record(message, Outcome("queued", attempts=0))
    await log.record(message, Outcome("queued", reason="PostStack answered 503", attempts=1))
    waiting = await found(log)
    assert (waiting.status, waiting.email_id) == ("queued", None)
    assert waiting.reason == "PostStack answered 503"

    await log.record(message, Outcome("accepted", "em_1", attempts=2))
    accepted = await found(log, "em_1")
    assert (accepted.status, accepted.reason) == ("accepted", None)
    assert accepted.idempotency_key == "test:1"
    assert accepted.created_at == message.created_at
    await events.add(event("delivered", 5))
    delivered = await found(log)
    assert (delivered.status, delivered.events) == ("delivered", [event("delivered", 5)])
    assert delivered.updated_at == NOW + timedelta(minutes=5)


ORDERS = [*permutations(["delivered", "soft_bounced", "complained"])]


@pytest.mark.parametrize("order", ORDERS)
async def test_order(order: tuple[EventType, ...], database: Database, message: Message) -> None:
    """Events overtake each other, and repeat themselves, and the status is the same."""
    log, events = MailLog(database), Events(database)
    await log.record(message, Outcome("accepted", "em_1"))
    for kind in (*order, *order):
        await events.add(event(kind))
    assert (await found(log)).status == "complained"


async def test_late(database: Database, message: Message) -> None:
    """What is written late, or said again, turns nothing back."""
    log, before = MailLog(database), utc_now()
    await log.record(message, Outcome("refused", reason="no"))
    await log.record(message, Outcome("queued", at=before))  # the worker was faster than the API
    assert (await found(log)).status == "refused"
    await log.record(message, Outcome("queued"))  # an operator queues it again
    await log.record(message, Outcome("accepted", "em_1"))
    for outcome in (Outcome("queued"), Outcome("failed"), Outcome("suppressed")):
        await log.record(message, outcome)
    assert (await found(log)).status == "accepted"
    await log.record(message, Outcome("accepted", "em_2"))  # after 72 hours it is another mail
    assert (await found(log)).email_id == "em_2"


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
    settings = at(settings, database_url)
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


async def test_webhook_without_row(database: Database, message: Message) -> None:
    """An event that comes before the row is found by PostStack's id, and then by both."""
    log = MailLog(database)
    await Events(database).add(event("bounced"))
    early = await found(log, "em_1")
    assert (early.idempotency_key, early.status) == (None, "bounced")
    await log.record(message, Outcome("accepted", "em_1"))
    assert (await found(log)).status == "bounced"


async def test_together(database: Database, message: Message) -> None:
    """What many record at once is all written."""
    log = MailLog(database)
    keys = [f"test:{number}" for number in range(50)]
    copies = [message.model_copy(update={"idempotency_key": key}) for key in keys]
    await asyncio.gather(
        *(log.record(copy, Outcome("accepted", copy.idempotency_key)) for copy in copies)
    )
    assert [(await found(log, key)).email_id for key in keys] == keys


async def test_failure(database: Database, message: Message) -> None:
    """Everybody whose row was not written learns it, and later rows are written."""
    log = MailLog(database)
    await database.fetch("ALTER TABLE emails RENAME TO away")
    try:
        outcomes = await asyncio.gather(
            *(log.record(message, Outcome("queued")) for _ in range(5)), return_exceptions=True
        )
    finally:
        await database.fetch("ALTER TABLE away RENAME TO emails")
    assert {type(outcome) for outcome in outcomes} == {DatabaseError}
    await log.record(message, Outcome("queued"))
    assert (await found(log)).status == "queued"


async def test_strange_words(database: Database, message: Message) -> None:
    """PostStack's words are data: no terminal obeys them, and PostgreSQL takes them."""
    log = MailLog(database)
    await log.record(message, Outcome("refused", reason="no\0\x1b[31m\nway é"))
    assert (await found(log)).reason == "no??[31m?way é".replace("?", "\N{REPLACEMENT CHARACTER}")
