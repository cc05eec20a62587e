"""What is given up is kept, listed, and sent again when an operator says so."""

import asyncio
import json
from functools import partial

from kombu.connection import Connection
from starlette.responses import JSONResponse

from app.mail.message import Message, utc_now
from app.queue.attachments import QueuedMessage
from app.queue.failed import drop, requeue
from app.queue.publisher import create_celery, enqueue
from app.queue.worker import GIVE_UP_AFTER
from tests.queue.broker import open_proxy
from tests.queue.commands import Deployment
from tests.queue.postbox import eventually


async def test_given_up(shared: Deployment, message: Message) -> None:
    """A permanent error ends the task; it is logged and listed, and sent after `requeue`."""
    error = {"error": "Invalid API key", "code": "unauthorized"}
    shared.postbox.answers.append(JSONResponse(error, 401, {"x-request-id": "req_7"}))
    reason = "PostStack answered 401 unauthorized: Invalid API key (request req_7)"
    [worker] = shared.workers

    await shared.enqueue(message, "refused")

    await worker.expect(f"given up: {reason}  idempotency_key=refused  attempt=1  request_id=")
    [line, count] = shared.failed().splitlines()
    assert line.startswith("refused: created 20")
    assert line.endswith(f", attempts: 1: {reason}")
    assert count == "1 failed"
    assert shared.failed("requeue", "refused") == "1 requeued\n"
    await shared.expect({"refused": 0})
    assert shared.list_failed() == ["0 failed"]


async def test_posted_again(shared: Deployment, message: Message) -> None:
    """A message that was posted three times and refused is one failed message, and one mail."""
    error = {"error": "Invalid API key", "code": "unauthorized"}
    shared.postbox.answers.extend(JSONResponse(error, 401) for _ in range(3))

    await shared.enqueue(message, "again", "again", "again")

    await eventually(lambda: len(shared.postbox.arrived("again")) == 3)
    await eventually(lambda: shared.list_failed()[-1] == "1 failed")
    await eventually(lambda: shared.failed("requeue", "again") == "1 requeued\n")
    await shared.expect({"again": 0})
    assert shared.list_failed() == ["0 failed"]


async def test_conflict(shared: Deployment, message: Message) -> None:
    """A repeat that says something else is refused by PostStack, and kept until it is dropped."""
    await shared.enqueue(message, "conflict")
    await shared.expect({"conflict": 0})

    await shared.enqueue(message.model_copy(update={"recipient": "bob@example.com"}), "conflict")

    await eventually(lambda: len(shared.list_failed()) == 2)
    [line, _] = shared.list_failed()
    assert line.startswith("conflict: created 20")
    assert "PostStack answered 422" in line
    assert "idempotency key" in line
    assert "example.com" not in line
    assert shared.failed("drop", "conflict") == "1 dropped\n"
    assert shared.list_failed() == ["0 failed"]
    assert shared.postbox.mails()["conflict"] == 0


async def test_bug(deployment: Deployment, message: Message) -> None:
    """A bug, or a setting that nobody foresaw, costs no mail; its traceback is in the log.

    In production all that a worker logs to its end is JSON, and the lines of an attempt say which.
    """
    await deployment.enqueue(message, "test:1")
    async with open_proxy(deployment.broker) as proxy:
        settings = deployment.changed(
            fastapi_env="production",
            sender_email="hello@acme.dev",
            poststack_base_url="https://host:port",
            poststack_webhook_secret="whsec_8ff2c4a1d09b4e5fb67d3c1a",  # noqa: S106
            api_keys="planted-8ff2c4a1d09b4e5fb67d3c1aa2e6",
            broker_url=proxy.url.replace("guest", "owner"),
        )
        worker = deployment.start_worker("--pool=solo", settings=settings)
        await worker.expect("given up")
        worker.process.terminate()
        assert await asyncio.to_thread(worker.process.wait, 20) == 0

    lines = [json.loads(line) for line in worker.log().splitlines()]
    bug, given_up = [line for line in lines if line["level"] == "ERROR"]
    assert bug["message"] == "unexpected error"
    assert given_up["message"] == "given up: unexpected error: InvalidURL"
    assert "Traceback" in bug["exception"]
    for line in (bug, given_up):
        assert (line["idempotency_key"], line["attempt"]) == ("test:1", 1)
        assert line["request_id"]
    assert deployment.list_failed()[0].startswith("test:1: created 20")


async def test_too_old(shared: Deployment, message: Message) -> None:
    """What waited until PostStack may have forgotten its key is an operator's, and not sent."""
    changes = {"created_at": utc_now() - GIVE_UP_AFTER, "idempotency_key": "old"}
    with create_celery(shared.settings) as celery:
        enqueue(celery, QueuedMessage(**dict(message) | changes))

        await eventually(lambda: shared.list_failed()[-1] == "1 failed")
        assert shared.list_failed()[0].endswith("attempts: 1: 2 days, 0:00:00 have passed")
        assert drop(celery, "old") == "1 dropped"
    assert not shared.postbox.arrived("old")


async def test_unreadable(shared: Deployment) -> None:
    """What is no message, or not even a task, is kept as well; `requeue` leaves it there."""
    name = shared.settings.queue_name
    # Without confirms one of 300 such connections lost some of the four on a busy machine.
    with Connection(shared.broker, transport_options={"confirm_publish": True}) as connection:
        publish = partial(connection.Producer().publish, exchange=name, routing_key=name)
        for number, body in enumerate(["[[{}], {}, {}]", "[[3], {}, {}]", "garbage"]):
            headers = {"task": "send_email", "id": f"unreadable:{number}"}
            publish(
                body, headers=headers, content_type="application/json", content_encoding="utf-8"
            )
        publish({}, headers={"task": "no_such_task"})
        for number, body in enumerate(["null", "5"]):
            headers = {"task": "send_email", "id": f"wrong:{number}", "reason": "\x1b[31mred\nnew"}
            publish(
                body, headers=headers, content_type="application/json", content_encoding="utf-8"
            )
        publish({}, headers={"task": ["send_email"], "id": "wrong:2", "x-death": 5})

    [worker] = shared.workers
    await eventually(lambda: shared.list_failed()[-1] == "7 failed")
    keys = ["None", *(f"unreadable:{n}" for n in range(3)), *(f"wrong:{n}" for n in range(3))]
    assert sorted(line.partition(": ")[0] for line in shared.list_failed()[:-1]) == keys
    assert all(line.isprintable() for line in shared.list_failed())
    for words, count in (("not a task of this service", 5), ("given up: not a message; see", 2)):
        assert worker.log().count(words) == count, worker.log()
    assert worker.process.poll() is None
    with create_celery(shared.settings) as celery:
        assert requeue(celery, None) == "0 requeued"
        assert [drop(celery, key) for key in keys] == ["1 dropped"] * 7
        assert drop(celery, "None") == "0 dropped"
