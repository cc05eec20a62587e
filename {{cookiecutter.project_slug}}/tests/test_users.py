"""The store of users, on a real file."""

import asyncio
from pathlib import Path

from app.events import Event, open_events
from app.messages import now
from app.users import open_users


async def test_same_address(tmp_path: Path) -> None:
    """One address is one user, even for simultaneous signups from two processes' connections."""
    path = tmp_path / "new" / "folder" / "users.sqlite3"
    async with open_users(path) as here, open_users(path) as there:
        users = await asyncio.gather(
            *(store.add(f"zo{c}@example.com", "Zoë") for c in "ëË" for store in (here, there))
        )
        other = await here.add("bob@example.com", "Bob")

    assert len({user.id for user in users}) == 1
    assert other.id != users[0].id


async def test_alike(tmp_path: Path) -> None:
    """Two domains are two users, though Unicode folds the one into the other."""
    async with open_users(tmp_path / "users.sqlite3") as users:
        found = [await users.add(f"ada@{name}.de", "Ada") for name in ("straße", "strasse")]

    assert [user.email for user in found] == ["ada@straße.de", "ada@strasse.de"]


async def test_suppressed(tmp_path: Path) -> None:
    """A user knows of an event that forbids mail to them, and of no other."""
    path = tmp_path / "service.sqlite3"
    async with open_users(path) as users, open_events(path) as events:
        for number, kind, suppressed in ((1, "delivered", False), (2, "complained", True)):
            data = {"id": f"evt_{number}", "type": kind, "email_id": "em_1", "time": now()}
            await events.add(Event.model_validate(data | {"recipient": "Ada@Example.com"}))
            assert (await users.add("ada@example.com", "Ada")).suppressed is suppressed
        assert not (await users.add("bob@example.com", "Bob")).suppressed


async def test_restart(tmp_path: Path) -> None:
    """Users outlive the process."""
    path = tmp_path / "users.sqlite3"
    async with open_users(path) as before:
        ada = await before.add("ada@example.com", "Ada")
    async with open_users(path) as after:
        assert await after.add("ada@example.com", "Somebody else") == ada
