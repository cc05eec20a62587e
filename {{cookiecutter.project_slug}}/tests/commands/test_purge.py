"""`poe purge` deletes what is old, and nothing else."""

from datetime import timedelta

import pytest

from app.commands.purge import main
from app.database import Database
from app.mail.events import Event, Events
from app.mail.log import RECORD, MailLog
from app.mail.message import utc_now
from app.mail.suppressions import Suppressions
from tests.commands.conftest import Command


async def test_purge(command: Command, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mails and events older than `RETENTION_DAYS` go, however many; suppressions stay."""
    monkeypatch.setenv("RETENTION_DAYS", "30")
    now = utc_now()
    old, new = now - timedelta(days=30, minutes=1), now - timedelta(days=29)
    mail = ("accepted", "ada@example.com", 1, None)
    rows = [(f"old:{number}", f"em_{number}", *mail, old, old) for number in range(2001)]
    # As old, but something has become of it since.
    await database.execute_many(RECORD, [*rows, ("new:1", "em_new", *mail, old, new)])
    events = Events(database)
    for name, time in (("old", old), ("older", old), ("new", new)):
        event = {"type": "bounced", "email_id": f"em_{name}", "recipient": "ada@example.com"}
        await events.add(Event.model_validate(event | {"id": name, "time": time}))
    suppressions = Suppressions(database)
    await suppressions.add("ada@example.com", "hard_bounce", old - timedelta(days=900), "em_old")

    day = now - timedelta(days=30)
    for emails, gone in ((2001, 2), (0, 0)):
        said = f"Deleted {emails} emails and {gone} events from before {day:%Y-%m-%d}."
        assert await command(main) == (said, "")

    log = MailLog(database)
    assert await log.find("old:0") is None
    assert await log.find("em_old") is None
    kept = await log.find("new:1")
    assert kept
    assert [event.id for event in kept.events] == ["new"]
    assert await suppressions.find("ada@example.com")


async def test_away(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its database it says so in one line, and no password."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada:hunter2@127.0.0.1:9/mail")
    said, exited = await command(main)
    assert said == ""
    assert exited.startswith("Not purged: PostgreSQL not reached: ")
    assert "\n" not in exited
    assert "hunter2" not in exited
