"""What is given up is kept, shown, and sent again when an operator says so."""

import json

import pytest
from arq.constants import result_key_prefix
from starlette.responses import JSONResponse

from app.dispatch import Dispatch, Queue
from app.failed import run
from app.jobs import forget
from app.messages import Message
from tests.dispatch.commands import Service, another
from tests.dispatch.postbox import Postbox


async def test_permanent_error(
    dispatch: Dispatch,
    message: Message,
    operator: Service,
    postbox: Postbox,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A permanent error ends the job, is logged in full, and the mail is kept for an operator.

    It is sent once the operator requeues it, or the caller asks for it again, in other words even.
    """
    refusal = {"error": "Domain not verified", "code": "unprocessable_entity"}
    answer = JSONResponse(refusal, 422, {"x-request-id": "req_42"})
    postbox.answers.extend([answer, answer])
    reason = "PostStack answered 422 unprocessable_entity: Domain not verified (request req_42)"
    accepted_at = message.model_dump(mode="json")["accepted_at"]

    with operator.worker():
        await dispatch(message)
        operator.expect_log(f"given up: {reason}  idempotency_key=test:1  attempt=1")
        await dispatch(another(message))
        operator.expect_log(f"given up: {reason}  idempotency_key=test:2  attempt=1")
        await run(operator.settings)
        assert sorted(capsys.readouterr().out.splitlines()) == [
            "2 failed",
            f"test:1  accepted {accepted_at}  attempts 1  {reason}",
            f"test:2  accepted {accepted_at}  attempts 1  {reason}",
        ]

        assert operator.run("app.failed", "requeue", "test:1") == (0, "1 queued again\n")
        postbox.expect({"test:1": 0})
        await dispatch(another(message).model_copy(update={"subject": "Hello again"}))
        postbox.expect({"test:1": 0, "test:2": 0})

    assert not operator.stored.exists(f"{operator.queue}:failed")


async def test_requeue(
    queue: Queue, message: Message, operator: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """A requeued message stays in the list until it is sent, so that no crash can lose it."""
    entry = {"message": message.model_dump(mode="json"), "reason": "why", "attempts": 3}
    operator.stored.hset(queue.failed_key, "test:1", json.dumps(entry))

    for command in ("requeue", "requeue", None):
        await run(operator.settings, command)

    first, second, line, count = capsys.readouterr().out.splitlines()
    assert (first, second, count) == ("1 queued again", "0 queued again", "1 failed")
    assert line.endswith("why  (queued again)")
    assert operator.stored.zcard(operator.queue) == 1


async def test_drop(queue: Queue, dispatch: Dispatch, message: Message, operator: Service) -> None:
    """A message that an operator drops is gone, and is new when its caller asks for it again."""
    job_id = f"{queue.job_prefix}test:1"
    entry = {"message": message.model_dump(mode="json"), "reason": "why", "attempts": 3}
    operator.stored.hset(queue.failed_key, mapping={"test:1": json.dumps(entry), "test:2": "{}"})
    operator.stored.set(result_key_prefix + job_id, forget({"a": [entry["message"]]}))

    assert operator.run("app.failed", "drop", "test:1") == (0, "1 dropped\n")
    assert operator.stored.hkeys(queue.failed_key) == [b"test:2"]
    await run(operator.settings, "drop", "test:1")
    await dispatch(message)
    assert operator.stored.zrange(operator.queue, 0, -1) == [job_id.encode()]


async def test_requeue_of_another(
    queue: Queue,
    dispatch: Dispatch,
    message: Message,
    operator: Service,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What a caller has meanwhile queued in its place goes; `requeue` passes over the old one."""
    entry = {"message": message.model_dump(mode="json"), "reason": "why", "attempts": 3}
    operator.stored.hset(queue.failed_key, "test:1", json.dumps(entry))
    await dispatch(message.model_copy(update={"recipient": "bob@example.com"}))

    await run(operator.settings, "requeue")

    assert capsys.readouterr().out == "0 queued again\n"
    [queued] = json.loads(operator.stored.get(f"arq:job:{operator.queue}:test:1"))["a"]
    assert queued["recipient"] == "bob@example.com"
