"""What is given up is kept, shown, and sent again when an operator says so."""

import json

import pytest
from starlette.responses import JSONResponse

from app.dispatch import Dispatch, Queue
from app.failed import run
from app.messages import Message
from tests.dispatch.commands import Service, another
from tests.dispatch.postbox import Postbox


async def test_permanent_error(
    queue: Queue,
    dispatch: Dispatch,
    message: Message,
    operator: Service,
    postbox: Postbox,
) -> None:
    """A permanent error ends the job, is logged in full, and the mail is kept for an operator.

    It is sent once the operator requeues it, or the caller asks for it again.
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
        code, said = operator.run("app.failed")
        assert (code, sorted(said.splitlines())) == (
            0,
            [
                "2 failed",
                f"test:1  accepted {accepted_at}  attempts 1  {reason}",
                f"test:2  accepted {accepted_at}  attempts 1  {reason}",
            ],
        )

        assert operator.run("app.failed", "requeue", "test:1") == (0, "1 queued again\n")
        postbox.expect({"test:1": 0})
        await dispatch(another(message))
        postbox.expect({"test:1": 0, "test:2": 0})

    assert not operator.stored.exists(queue.failed_key)


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
