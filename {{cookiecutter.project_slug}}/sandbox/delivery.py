"""What happens to a message once it is accepted: it waits for its time, then its events occur."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

from sandbox.messages import Message
from sandbox.recipients import find_magic
from sandbox.store import Store
from sandbox.validation import Email, parse_time
from sandbox.webhooks import Webhooks

# Seconds between two events: enough for their webhooks to arrive in order, as a rule.
PACE = 0.05

# The status that an event leaves behind; the events not listed leave it as it was.
STATUSES = {
    "sent": "sending",
    "delivered": "delivered",
    "bounced": "bounced",
    "complained": "complained",
}


class Delivery:
    """Takes messages through their events in background tasks, which no answer waits for."""

    def __init__(self, store: Store, webhooks: Webhooks | None) -> None:
        self._store = store
        self._webhooks = webhooks
        self._tasks: set[asyncio.Task[None]] = set()
        self._resumed = False

    def start(self, message_id: str) -> None:
        """Take one message on its way; also after its scheduled time has changed."""
        self._spawn(self._deliver(message_id))

    def resume(self) -> None:
        """Take up, once, what a restart of the process interrupted."""
        if not self._resumed:
            self._resumed = True
            for message_id in self._store.unfinished():
                self.start(message_id)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        # The loop keeps only weak references to its tasks.
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, message_id: str) -> None:
        message = self._store.get(message_id)
        if message and message.scheduled_at:
            await asyncio.sleep(_seconds_until(message.scheduled_at))
            message = self._store.get(message_id)
        if message is None or message.status not in ("queued", "sending"):
            return
        if message.scheduled_at and _seconds_until(message.scheduled_at) > 0:
            # Rescheduled meanwhile, and whoever did that has started another task.
            return

        magic, recipient = find_magic(Email.model_validate(message.body).recipients)
        happened = {event["type"] for event in message.events}
        for event in magic.events:
            if event in happened:
                continue
            await asyncio.sleep(PACE)
            message = self._store.record(message_id, event, STATUSES.get(event, message.status))
            if message is None:
                return
            if self._webhooks:
                self._spawn(self._webhooks.send(_payload(message, event, recipient)))


def _seconds_until(time: str) -> float:
    return max(0.0, (parse_time(time) - datetime.now(UTC)).total_seconds())


def _payload(message: Message, event: str, recipient: str) -> dict[str, Any]:
    data = {
        "email_id": message.id,
        "from": message.body["from"],
        "to": message.body["to"],
        "recipient": recipient,
        "subject": message.body.get("subject"),
        "tags": message.body.get("tags") or [],
    }
    if event == "bounced":
        data["bounce_type"] = "hard"
    return {
        # Made from the message and the event: one that is sent again keeps its id.
        "id": f"evt_{message.id.removeprefix('em_')}_{event}",
        "type": f"email.{event}",
        "timestamp": message.events[-1]["timestamp"],
        "data": data,
    }
