"""The accepted messages, in SQLite: in memory, or in a file that outlives a code reload."""

import json
import secrets
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sandbox.errors import ApiError
from sandbox.messages import Filters, Message, now, timestamp
from sandbox.validation import split_address

_SCHEMA = Path(__file__).with_name("schema.sql").read_text("utf-8")
_VERSION = 2
_MATCH = """
    FROM messages
    WHERE (:status IS NULL OR status = :status)
    AND instr(sender, casefold(:sender)) AND instr(recipients, casefold(:to))
    AND instr(subject, casefold(:subject))
    AND (:tag = '' OR instr(tags, char(10) || casefold(:tag) || char(10)))
    AND instr(sender || char(10) || recipients || char(10) || subject || tags || content,
        casefold(:q))
"""


class Store:
    """One connection, for one event loop. Other processes may have the same file open."""

    def __init__(self, database: Path | None) -> None:
        if database:
            database.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(
            database or ":memory:", check_same_thread=False, isolation_level=None
        )
        # A mounted application is not told when to stop, so the connection closes with the store.
        weakref.finalize(self, self._connection.close)
        self._connection.row_factory = sqlite3.Row
        self._connection.create_function("casefold", 1, str.casefold, deterministic=True)
        # Fast rather than safe: a power cut may cost mails that were never real.
        self._connection.execute("PRAGMA synchronous = OFF")
        if self._connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            self._connection.executescript(_SCHEMA)
        self._revision_prefix = secrets.token_hex(4)

    def accept(
        self, body: dict[str, Any], *, key: str | None, hours: int, scheduled_at: str | None
    ) -> tuple[str, bool]:
        """Store a message once per key. Returns its id, and whether this was a repeat.

        A repeat with another body is a 422: its replay would report a mail that never was. So is a
        new message to a suppressed recipient.
        """
        with self._transaction() as connection:
            first = connection.execute(
                "SELECT id, body FROM messages WHERE idempotency_key = ? AND key_expires_at > ?",
                (key, now()),
            ).fetchone()
            if first:
                if json.loads(first["body"]) != body:
                    raise ApiError(422, "The idempotency key was used for a different email")
                connection.execute(
                    "UPDATE messages SET repeats = repeats + 1 WHERE id = ?", (first["id"],)
                )
                return first["id"], True
            created_at = now()
            recipients = [*body["to"], *(body.get("cc") or []), *(body.get("bcc") or [])]
            for address in (split_address(recipient)[1] for recipient in recipients):
                found = "SELECT 1 FROM suppressions WHERE email = ?"
                if connection.execute(found, (address.lower(),)).fetchone():
                    raise ApiError(422, f"Recipient is suppressed: {address}")
            row = {
                "id": f"em_{secrets.token_hex(10)}",
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
            values = ", ".join(f":{column}" for column in row)
            connection.execute(
                f"INSERT INTO messages ({', '.join(row)}) VALUES ({values})",  # noqa: S608  our own column names
                row,
            )
            return row["id"], False

    def get(self, message_id: str) -> Message | None:
        """One message by its `em_...` id."""
        row = self._connection.execute(
            "SELECT * FROM messages WHERE id = ?", (message_id,)
        ).fetchone()
        return Message.model_validate(dict(row)) if row else None

    def find(self, filters: Filters, *, limit: int, offset: int = 0) -> tuple[list[Message], int]:
        """One page of the matching messages, newest first, and how many match in all."""
        values = filters.model_dump() | {"limit": limit, "offset": offset}
        page = "ORDER BY number DESC LIMIT :limit OFFSET :offset"
        rows = self._connection.execute(f"SELECT * {_MATCH} {page}", values).fetchall()
        total = self._connection.execute(f"SELECT count(*) {_MATCH}", values).fetchone()[0]
        return [Message.model_validate(dict(row)) for row in rows], total

    def record(self, message_id: str, event: str, status: str | None) -> Message | None:
        """Add an event, and a status if it brings one; None if it is there, or no message is."""
        with self._transaction() as connection:
            message = self.get(message_id)
            if message is None or any(event == earlier["type"] for earlier in message.events):
                return None
            events = [*message.events, {"type": event, "timestamp": now()}]
            connection.execute(
                "UPDATE messages SET events = ?, status = coalesce(?, status) WHERE id = ?",
                (json.dumps(events), status, message_id),
            )
            return self.get(message_id)

    def update_scheduled(
        self, message_id: str, *, status: str | None = None, scheduled_at: str | None = None
    ) -> bool:
        """Change a message that still waits for its time; False if it does not."""
        statement = """
            UPDATE messages
            SET status = coalesce(?, status), scheduled_at = coalesce(?, scheduled_at)
            WHERE id = ? AND status = 'queued' AND scheduled_at IS NOT NULL
        """
        values = (status, scheduled_at, message_id)
        return self._connection.execute(statement, values).rowcount == 1

    def unfinished(self) -> list[str]:
        """The ids of messages that are not delivered yet, oldest first."""
        statement = "SELECT id FROM messages WHERE status IN ('queued', 'sending') ORDER BY number"
        return [row["id"] for row in self._connection.execute(statement)]

    def suppress(self, address: str, reason: str) -> None:
        """Accept no more messages to an address."""
        statement = "INSERT OR IGNORE INTO suppressions VALUES (?, ?, ?)"
        self._connection.execute(statement, (address.lower(), reason, now()))

    def unsuppress(self, address: str) -> bool:
        """Accept messages to an address again; False if they were accepted already."""
        statement = "DELETE FROM suppressions WHERE email = ?"
        return self._connection.execute(statement, (address.lower(),)).rowcount == 1

    def suppressions(self, *, limit: int, offset: int) -> tuple[list[dict[str, str]], int]:
        """One page of the suppressions, the latest first, and how many there are in all."""
        statement = "SELECT * FROM suppressions ORDER BY rowid DESC LIMIT ? OFFSET ?"
        rows = self._connection.execute(statement, (limit, offset)).fetchall()
        total = self._connection.execute("SELECT count(*) FROM suppressions").fetchone()[0]
        return [dict(row) for row in rows], total

    def empty(self) -> None:
        """Delete every message, with it its idempotency key, and what it suppressed."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM messages")
            connection.execute("DELETE FROM suppressions")

    def revision(self) -> str:
        """A text that changes whenever anything stored does, here or in another process."""
        others = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return f"{self._revision_prefix}-{others}-{self._connection.total_changes}"

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connection as connection:  # commits, or rolls back after an exception
            connection.execute("BEGIN IMMEDIATE")
            yield connection
