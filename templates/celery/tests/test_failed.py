"""What is given up is kept, shown, and sent again when an operator says so."""

import asyncio
import json

from kombu.connection import Connection
from starlette.responses import JSONResponse

from app.dispatch import DispatchSettings, enqueue, publisher
from app.failed import drop, requeue
from app.messages import Message, now
from app.worker import GIVE_UP_AFTER
from tests.dispatch.broker import open_proxy
from tests.dispatch.commands import Bench, open_service
from tests.dispatch.postbox import eventually
from tests.test_roads import ORDER


async def test_given_up(shared: Bench) -> None:
    """A permanent error ends the job; it is logged and listed, and sent after `requeue`."""
    error = {"error": "Invalid API key", "code": "unauthorized"}
    shared.postbox.answers.append(JSONResponse(error, 401, {"x-request-id": "req_7"}))
    reason = "PostStack answered 401 unauthorized: Invalid API key (request req_7)"
    [worker] = shared.workers

    await shared.order("1003")

    await worker.expect(f"given up: {reason}  idempotency_key=receipt:1003  attempt=1  request_id=")
    [line, count] = shared.failed().splitlines()
    assert line.startswith("receipt:1003: accepted 20")
    assert line.endswith(f", attempts: 1: {reason}")
    assert count == "1 failed"
    assert shared.failed("requeue", "receipt:1003") == "1 requeued\n"
    await shared.expect({"receipt:1003": 0})
    assert shared.listing() == ["0 failed"]


async def test_conflict(shared: Bench) -> None:
    """A repeat that says something else is refused by PostStack, and kept until it is dropped."""
    await shared.order("1009")
    await shared.expect({"receipt:1009": 0})

    async with open_service(shared.settings) as service:
        other = ORDER | {"order_id": "1009", "recipient": "bob@example.com"}
        assert (await service.post("/receipts", json=other)).status_code == 202

    await eventually(lambda: len(shared.listing()) == 2)
    [line, _] = shared.listing()
    assert line.startswith("receipt:1009: accepted 20")
    assert "PostStack answered 422" in line
    assert "idempotency key" in line
    assert "example.com" not in line
    assert shared.failed("drop", "receipt:1009") == "1 dropped\n"
    assert shared.listing() == ["0 failed"]
    assert shared.postbox.mails()["receipt:1009"] == 0


async def test_bug(bench: Bench) -> None:
    """A bug, or a setting that nobody foresaw, costs no mail; its traceback is in the log.

    In production all that a worker logs to its end is JSON, and the lines of an attempt say which.
    """
    await bench.order("1006")
    production = {
        "fastapi_env": "production",
        "sender_email": "hello@acme.dev",
        "poststack_base_url": "https://host:port",
        "poststack_webhook_secret": "whsec_1",
        "api_keys": "planted-8ff2c4a1d09b4e5fb67d3c1aa2e6",
    }
    async with open_proxy(bench.broker) as (proxy, url):
        proxy.flowing.set()
        production["broker_url"] = url.replace("guest", "owner")
        settings = DispatchSettings(**bench.settings.model_dump() | production)
        worker = bench.start_worker("--pool=solo", settings=settings)
        await worker.expect("given up")
        worker.process.terminate()
        assert await asyncio.to_thread(worker.process.wait, 20) == 0

    lines = [json.loads(line) for line in worker.log().splitlines()]
    bug, given_up = [line for line in lines if line["level"] == "ERROR"]
    assert (bug["message"], given_up["message"]) == ("a bug", "given up: a bug: InvalidURL")
    assert "Traceback" in bug["exception"]
    for line in (bug, given_up):
        assert (line["idempotency_key"], line["attempt"]) == ("receipt:1006", 1)
        assert line["request_id"]
    assert bench.listing()[0].startswith("receipt:1006: accepted 20")


async def test_too_old(shared: Bench, message: Message) -> None:
    """What waited until PostStack may have forgotten its key is an operator's, and not sent."""
    old = message.model_copy(update={"accepted_at": now() - GIVE_UP_AFTER})
    with publisher(shared.settings) as celery:
        enqueue(celery, old)

        await eventually(lambda: shared.listing()[-1] == "1 failed")
        assert shared.listing()[0].endswith("attempts: 1: 2 days, 0:00:00 have passed")
        assert drop(celery, "test:1") == "1 dropped"
    assert not shared.postbox.arrived("test:1")


async def test_unreadable(shared: Bench) -> None:
    """What is no message, or not even a job, is kept as well; `requeue` leaves it there."""
    name = shared.settings.queue_name
    # Without confirms one of 300 such connections lost some of the four on a busy machine.
    with Connection(shared.broker, transport_options={"confirm_publish": True}) as connection:
        producer = connection.Producer()
        for number, body in enumerate(["[[{}], {}, {}]", "[[3], {}, {}]", "garbage"]):
            producer.publish(
                body,
                exchange=name,
                routing_key=name,
                headers={"task": "send_email", "id": f"unreadable:{number}"},
                content_type="application/json",
                content_encoding="utf-8",
            )
        producer.publish({}, exchange=name, routing_key=name, headers={"task": "no_such_task"})

    [worker] = shared.workers
    await worker.expect("not a job of this service", 2)
    await worker.expect("given up: not a message; see", 2)
    await eventually(lambda: shared.listing()[-1] == "4 failed")
    assert sorted(line.partition(": ")[0] for line in shared.listing()[:4]) == [
        "None",
        "unreadable:0",
        "unreadable:1",
        "unreadable:2",
    ]
    for words in ("not a job of this service", "given up: not a message; see"):
        assert worker.log().count(words) == 2, worker.log()
    with publisher(shared.settings) as celery:
        assert requeue(celery, None) == "0 requeued"
        assert drop(celery, "unreadable:0") == "1 dropped"
        assert drop(celery, "unreadable:0") == "0 dropped"
        for key in ("None", "unreadable:1", "unreadable:2"):
            assert drop(celery, key) == "1 dropped"
