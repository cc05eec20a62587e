"""A message is stored once per reason, and outlives the process."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sandbox.main import create_sandbox


@pytest.fixture
def keyed(email: Any) -> Any:
    """An email with a key."""
    return email | {"idempotency_key": "receipt:1", "idempotency_window_hours": 72}


async def test_key_belongs_to_one_email(sandbox: Any, keyed: Any, email: Any) -> None:
    """Twenty callers at once get one id, and so does a batch; another email is refused."""
    answers = await asyncio.gather(*(sandbox.emails.send(keyed) for _ in range(20)))
    answers.append((await sandbox.emails.batch({"emails": [keyed, email]}))["data"][0])
    assert len({answer["id"] for answer in answers}) == 1
    assert [answer.get("replayed") for answer in answers].count(True) == 20
    another = sandbox.emails.send(keyed | {"subject": "Another"})
    await sandbox.refusal(another, 422, "unprocessable_entity")
    assert [message["repeats"] for message in await sandbox.messages()] == [0, 20]


def test_key_is_free_again_after_its_window(email: Any) -> None:
    """Once the window has closed, the same key makes a new message."""
    store = create_sandbox().state.sandbox.store
    first, _ = store.accept(email, key="receipt:1", hours=0, scheduled_at=None)
    second, repeated = store.accept(email, key="receipt:1", hours=1, scheduled_at=None)
    assert (second != first, repeated) == (True, False)
    assert store.accept(email, key="receipt:1", hours=1, scheduled_at=None) == (second, True)


async def test_header_joins_the_retries_of_one_call(sandbox: Any, email: Any) -> None:
    """Requests under one `Idempotency-Key` header, as the SDK's retries are, count once."""
    body = {"emails": [email, email]}
    for key in ("first-call", "first-call", "second-call"):
        await sandbox.http.post("/emails/batch", json=body, headers={"Idempotency-Key": key})
    assert [message["repeats"] for message in await sandbox.messages()] == [0, 0, 1, 1]


async def test_two_sandboxes_share_a_file(connect: Any, keyed: Any, tmp_path: Path) -> None:
    """They have the same messages, keys and schedules, and each sees what the other changes."""
    database = tmp_path / "new" / "sandbox.sqlite3"
    later = {"idempotency_key": "receipt:2", "scheduled_at": "2999-01-01T00:00:00Z"}
    first = await connect(database=database)
    sent = await first.emails.send(keyed)
    waiting = await first.emails.send(keyed | later)
    etag = (await first.http.get("/messages")).headers["etag"]

    second = await connect(database=database)
    assert [message["id"] for message in await second.messages()] == [waiting["id"], sent["id"]]
    assert await second.emails.send(keyed) == sent | {"replayed": True}
    assert (await first.http.get("/messages")).headers["etag"] != etag
    await second.emails.reschedule(waiting["id"], "2020-01-01T00:00:00Z")
    await first.reaches("delivered", "delivered")


async def test_interrupted_delivery_is_resumed(connect: Any, email: Any, tmp_path: Path) -> None:
    """A message that waited or was on its way at a code reload is delivered after it."""
    database = tmp_path / "sandbox.sqlite3"
    before = create_sandbox(database=database).state.sandbox.store
    before.accept(email, key=None, hours=24, scheduled_at=None)
    message_id, _ = before.accept(email, key=None, hours=24, scheduled_at=None)
    before.record(message_id, "sent", "sending")
    for message in await (await connect(database=database)).reaches("delivered", "delivered"):
        assert [event["type"] for event in message["events"]] == ["queued", "sent", "delivered"]


def test_file_of_another_version_is_started_anew(email: Any, tmp_path: Path) -> None:
    """After an update of the sandbox an old file is no obstacle: its mails were only tests."""
    database = tmp_path / "sandbox.sqlite3"
    store = create_sandbox(database=database).state.sandbox.store
    store.accept(email, key=None, hours=24, scheduled_at=None)
    store._connection.execute("PRAGMA user_version = 999")
    assert create_sandbox(database=database).state.sandbox.store.unfinished() == []
