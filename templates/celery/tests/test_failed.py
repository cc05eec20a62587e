"""What is given up is kept, shown, and sent again when an operator says so."""

from kombu.connection import Connection
from starlette.responses import JSONResponse

from app.dispatch import publisher
from app.failed import drop, requeue
from tests.dispatch.broker import remove
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

    log = f"given up: {reason}  idempotency_key=receipt:1003  attempt=1  request_id="
    await eventually(lambda: log in worker.log())
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
    """A bug, or a setting that nobody foresaw, costs no mail; its traceback is in the log."""
    await bench.order("1006")
    bench.settings = bench.settings.model_copy(update={"poststack_base_url": "http://host:port"})
    worker = bench.start_worker("--pool=solo")

    about = "idempotency_key=receipt:1006  attempt=1"
    await eventually(lambda: f"given up: a bug: InvalidURL  {about}" in worker.log())

    assert f"a bug  {about}" in worker.log()
    assert "Traceback" in worker.log()
    assert bench.listing()[0].startswith("receipt:1006: accepted 20")


async def test_unreadable(shared: Bench) -> None:
    """What is no message, or not even a job, is kept as well; `requeue` leaves it there."""
    name = shared.settings.queue_name
    with Connection(shared.broker) as connection:
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
    await eventually(lambda: worker.log().count("not a job of this service") == 2)
    await eventually(lambda: worker.log().count("given up: not a message; see") == 2)
    await eventually(lambda: shared.listing()[-1] == "4 failed")
    assert sorted(line.partition(": ")[0] for line in shared.listing()[:4]) == [
        "None",
        "unreadable:0",
        "unreadable:1",
        "unreadable:2",
    ]
    with publisher(shared.settings) as celery:
        assert requeue(celery, None) == "0 requeued"
        assert drop(celery, "unreadable:0") == "1 dropped"
        assert drop(celery, "unreadable:0") == "0 dropped"
    remove(shared.broker, queues=[f"{name}.failed"], exchanges=[])
