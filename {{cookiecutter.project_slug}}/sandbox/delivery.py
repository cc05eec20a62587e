"""What happens to an accepted message: it waits for its scheduled time, then has its events."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

from sandbox.messages import Message
from sandbox.recipients import find_test_recipient
from sandbox.store import Store
from sandbox.validation import Email, parse_time
from sandbox.webhooks import Webhooks

# The status that an event brings; other events leave the status as it is.
STATUSES = {
    "sent": "sending",
    "delivered": "delivered",
    "bounced": "bounced",
    "complained": "complained",
}

# The events after which their recipient is suppressed, and the reason that the list gives.
SUPPRESSING = {
    "bounced": "hard_bounce",
    "complained": "complaint",
    "unsubscribed": "unsubscribe",
}


class Delivery:
    """Delivers messages in background tasks, which no response waits for.

    `event_interval` is in seconds. It lets the webhooks of a message arrive in order, as a rule.
    """

    def __init__(self, store: Store, webhooks: Webhooks | None, event_interval: float) -> None:
        self._store = store
        self._webhooks = webhooks
        self._event_interval = event_interval
        self._tasks: set[asyncio.Task[None]] = set()
        self._resumed = False

    def start(self, message_id: str) -> None:
        """Deliver one message; also after its scheduled time has changed."""
        self._spawn(self._deliver(message_id))

    def resume(self) -> None:
        """Continue, once, what a restart of the process interrupted."""
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
        # More than one task may deliver the same message: the store records each event once.
        message = self._store.get(message_id)
        while message and (seconds := _seconds_until(message.scheduled_at)) > 0:
            await asyncio.sleep(seconds)
            message = self._store.get(message_id)
        if message is None or message.status not in ("queued", "sending"):
            return
        recipient, address = find_test_recipient(Email.model_validate(message.body).recipients)
        for event in ("sent", *recipient.events):
            await asyncio.sleep(self._event_interval)
            recorded = self._store.record(message_id, event, STATUSES.get(event))
            if recorded and event in SUPPRESSING:
                self._store.suppress(address, SUPPRESSING[event])
            if recorded and self._webhooks:
                self._spawn(self._webhooks.send(_payload(recorded, event, address)))


def _seconds_until(time: str | None) -> float:
    return (parse_time(time) - datetime.now(UTC)).total_seconds() if time else 0


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
        "id": f"evt_{message.id.removeprefix('em_')}_{event}",
        "type": f"email.{event}",
        "timestamp": message.events[-1]["timestamp"],
        "data": data,
    }
