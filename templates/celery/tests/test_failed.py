"""What is given up is kept, shown, and sent again when an operator says so."""

import asyncio

from kombu.connection import Connection
from starlette.responses import JSONResponse

from tests.dispatch.broker import remove
from tests.dispatch.commands import Bench
from tests.dispatch.postbox import eventually


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
    assert line.startswith("receipt:1003: ada@example.com, 20")
    assert line.endswith(f", attempts: 1: {reason}")
    assert count == "1 failed"
    assert shared.failed("requeue", "receipt:1003") == "1 requeued\n"
    await shared.expect({"receipt:1003": 0})
    assert shared.failed() == "0 failed\n"


async def test_bug(bench: Bench) -> None:
    """A bug, or a setting that nobody foresaw, costs no mail; its traceback is in the log."""
    await bench.order("1006")
    bench.settings = bench.settings.model_copy(update={"poststack_base_url": "http://host:port"})
    worker = bench.start_worker()

    about = "idempotency_key=receipt:1006  attempt=1"
    await eventually(lambda: f"given up: a bug: InvalidURL  {about}" in worker.log())

    assert f"a bug  {about}" in worker.log()
    assert "Traceback" in worker.log()
    assert "receipt:1006: ada@example.com" in bench.failed()


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
    await asyncio.sleep(0.2)

    lines = shared.failed().splitlines()
    assert lines[4:] == ["4 failed"]
    assert sorted(line.rpartition(": ")[0].split(": ")[0] for line in lines[:4]) == [
        "None",
        "unreadable:0",
        "unreadable:1",
        "unreadable:2",
    ]
    assert shared.failed("requeue") == "0 requeued\n"
    remove(shared.broker, queues=[f"{name}.failed"], exchanges=[])
