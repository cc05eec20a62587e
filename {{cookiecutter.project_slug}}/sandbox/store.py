"""The accepted messages, in SQLite: in memory, or in a file that outlives a code reload."""

import json
import secrets
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sandbox.messages import Filters, Message, now, timestamp

_SCHEMA = Path(__file__).with_name("schema.sql").read_text()
_VERSION = 1
_MATCH = """
    FROM messages
    WHERE (:status IS NULL OR status = :status)
    AND instr(sender, :sender) AND instr(recipients, :to)
    AND instr(subject, :subject) AND instr(tags, :tag)
    AND instr(sender || char(10) || recipients || char(10) || subject || tags || content, :q)
"""


class KeyReusedError(Exception):
    """The idempotency key belongs to a message with a different body."""


class Store:
    """One connection, one lock: any thread may call, and each call is one transaction."""

    def __init__(self, database: Path | None) -> None:
        if database:
            database.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            database or ":memory:", check_same_thread=False, isolation_level=None
        )
        # Nobody tells a mounted application that it is over, so the connection closes with us.
        weakref.finalize(self, self._connection.close)
        self._connection.row_factory = sqlite3.Row
        # Fast rather than safe: a power cut may cost mails that were never real.
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._revision_prefix = secrets.token_hex(4)
        if self._connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            self._connection.executescript(_SCHEMA)

    def accept(
        self, body: dict[str, Any], *, key: str | None, hours: int, scheduled_at: str | None
    ) -> tuple[str, bool]:
        """Store a message once per key. Returns its id, and whether this was a repeat.

        Raises KeyReusedError when the key's first message had another body.
        """
        with self._transaction() as connection:
            earlier = self._by_key(connection, key)
            if earlier:
                if json.loads(earlier["body"]) != body:
                    raise KeyReusedError
                connection.execute(
                    "UPDATE messages SET repeats = repeats + 1 WHERE id = ?", (earlier["id"],)
                )
                return str(earlier["id"]), True
            message_id = f"em_{secrets.token_hex(10)}"
            created_at = now()
            recipients = [*body["to"], *(body.get("cc") or []), *(body.get("bcc") or [])]
            row = {
                "id": message_id,
                "body": json.dumps(body, ensure_ascii=False),
                "created_at": created_at,
                "scheduled_at": scheduled_at,
                "events": json.dumps([{"type": "queued", "timestamp": created_at}]),
                "idempotency_key": key,
                "key_expires_at": timestamp(datetime.now(UTC) + timedelta(hours=hours)),
                "sender": body["from"].casefold(),
                "recipients": "\n".join(recipients).casefold(),
                "subject": (body.get("subject") or "").casefold(),
                # Line breaks around each tag, so that a tag is found whole.
                "tags": "\n".join(["", *(body.get("tags") or []), ""]).casefold(),
                "content": (body.get("text") or body.get("html") or "").casefold(),
            }
            places = ", ".join(f":{column}" for column in row)
            connection.execute(
                f"INSERT INTO messages ({', '.join(row)}) VALUES ({places})",  # noqa: S608  our own column names
                row,
            )
            return message_id, False

    def has_key(self, key: str | None) -> bool:
        """Whether a message was accepted under this key and its window is still open."""
        with self._transaction() as connection:
            return self._by_key(connection, key) is not None

    def get(self, message_id: str) -> Message | None:
        """One message by its `em_...` id."""
        with self._transaction() as connection:
            return self._get(connection, message_id)

    def find(
        self, filters: Filters, *, limit: int = -1, offset: int = 0
    ) -> tuple[list[Message], int]:
        """One page of the matching messages, newest first, and how many match in all."""
        values: dict[str, str | int | None] = {
            "status": filters.status,
            "sender": filters.sender.casefold(),
            "to": filters.to.casefold(),
            "subject": filters.subject.casefold(),
            "tag": f"\n{filters.tag.casefold()}\n" if filters.tag else "",
            "q": filters.q.casefold(),
            "limit": limit,
            "offset": offset,
        }
        page = "ORDER BY number DESC LIMIT :limit OFFSET :offset"
        with self._transaction() as connection:
            rows = connection.execute(f"SELECT * {_MATCH} {page}", values).fetchall()
            total = connection.execute(f"SELECT count(*) {_MATCH}", values).fetchone()[0]
        return [Message.from_row(row) for row in rows], total

    def record(self, message_id: str, event: str, status: str) -> Message | None:
        """Add an event and set the status; None when the message is gone or has that event."""
        with self._transaction() as connection:
            message = self._get(connection, message_id)
            if message is None or any(e["type"] == event for e in message.events):
                return None
            events = [*message.events, {"type": event, "timestamp": now()}]
            connection.execute(
                "UPDATE messages SET events = ?, status = ? WHERE id = ?",
                (json.dumps(events), status, message_id),
            )
            return self._get(connection, message_id)

    def reschedule(self, message_id: str, scheduled_at: str) -> bool:
        """Move a message that is still waiting for its time; False when none is."""
        return self._change_scheduled("scheduled_at = ?", scheduled_at, message_id)

    def cancel(self, message_id: str) -> bool:
        """Stop a message that is still waiting for its time; False when none is."""
        # PostStack has no status of its own for a cancelled message.
        return self._change_scheduled("status = ?", "failed", message_id)

    def unfinished(self) -> list[str]:
        """The ids of messages on their way, oldest first."""
        statement = "SELECT id FROM messages WHERE status IN ('queued', 'sending') ORDER BY number"
        with self._transaction() as connection:
            return [row["id"] for row in connection.execute(statement)]

    def empty(self) -> None:
        """Forget every message, and with it its idempotency key."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM messages")

    def revision(self) -> str:
        """A text that changes whenever anything stored does, here or in another process."""
        with self._transaction() as connection:
            others = connection.execute("PRAGMA data_version").fetchone()[0]
            return f"{self._revision_prefix}-{others}-{connection.total_changes}"

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _get(self, connection: sqlite3.Connection, message_id: str) -> Message | None:
        row = connection.execute("SELECT * FROM messages WHERE id = ?", (message_id,)).fetchone()
        return Message.from_row(row) if row else None

    def _by_key(self, connection: sqlite3.Connection, key: str | None) -> sqlite3.Row | None:
        row: sqlite3.Row | None = connection.execute(
            "SELECT id, body FROM messages WHERE idempotency_key = ? AND key_expires_at > ?",
            (key, now()),
        ).fetchone()
        return row

    def _change_scheduled(self, change: str, value: str, message_id: str) -> bool:
        statement = (
            f"UPDATE messages SET {change}"  # noqa: S608  constants only
            " WHERE id = ? AND status = 'queued' AND scheduled_at IS NOT NULL"
        )
        with self._transaction() as connection:
            return connection.execute(statement, (value, message_id)).rowcount == 1
