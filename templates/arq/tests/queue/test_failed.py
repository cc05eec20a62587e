"""What is given up is kept, shown, and sent again when an operator says so."""

import json

import pytest
from arq.constants import result_key_prefix
from starlette.responses import JSONResponse

from app.mail.message import Message
from app.queue.failed import run
from app.queue.jobs import result_to_json
from app.queue.publisher import ArqPublisher
from tests.queue.commands import Operator, another
from tests.queue.postbox import Postbox


@pytest.fixture
def failed(message: Message, operator: Operator) -> list[Message]:
    """Two messages, which are on the failed list."""
    messages = [message, another(message)]
    for each in messages:
        entry = {"message": each.model_dump(mode="json"), "reason": "why", "attempts": 3}
        operator.stored.hset(f"{operator.queue}:failed", each.idempotency_key, json.dumps(entry))
    return messages


async def test_permanent_error(
    publisher: ArqPublisher,
    message: Message,
    operator: Operator,
    postbox: Postbox,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A permanent error ends the job, is logged in full, and the mail is kept for an operator.

    It is sent once the operator requeues it, or the caller enqueues it again, even if changed.
    """
    refusal = {"error": "Domain not verified", "code": "unprocessable_entity"}
    answer = JSONResponse(refusal, 422, {"x-request-id": "req_42"})
    postbox.answers.extend([answer, answer])
    reason = "PostStack answered 422 unprocessable_entity: Domain not verified (request req_42)"
    created_at = message.model_dump(mode="json")["created_at"]

    with operator.worker():
        await publisher.publish(message)
        operator.expect_log(f"given up: {reason}  idempotency_key=test:1  attempt=1")
        await publisher.publish(another(message))
        operator.expect_log(f"given up: {reason}  idempotency_key=test:2  attempt=1")
        await run(operator.settings)
        assert sorted(capsys.readouterr().out.splitlines()) == [
            "2 failed",
            f"test:1  created {created_at}  attempts 1  {reason}",
            f"test:2  created {created_at}  attempts 1  {reason}",
        ]

        assert operator.run("app.queue.failed", "requeue", "test:1") == (0, "1 queued again\n")
        postbox.expect({"test:1": 0})
        await publisher.publish(another(message).model_copy(update={"subject": "Hello again"}))
        postbox.expect({"test:1": 0, "test:2": 0})

    assert not operator.stored.exists(f"{operator.queue}:failed")


def test_unreadable(failed: list[Message], operator: Operator) -> None:
    """What somebody else has put there is listed as such, in words that no terminal obeys."""
    key = f"{operator.queue}:failed"
    for name, entry in (("a", b"\xff"), ("b", b"[1]"), ("c", b"[" * 100_000), (b"\xff\x1b", b"{}")):
        operator.stored.hset(key, name, entry)
    hostile = {"message": {}, "reason": "\x1b[31mred\nnew line", "attempts": 1}
    operator.stored.hset(key, "d", json.dumps(hostile))

    code, output = operator.run("app.queue.failed")

    *lines, count = output.splitlines()
    assert (code, count) == (0, f"{len(failed) + 5} failed")
    assert sum("unreadable" in line for line in lines) == 4
    assert all(line.isprintable() for line in lines)


async def test_requeue(
    failed: list[Message],
    publisher: ArqPublisher,
    operator: Operator,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A requeued message stays on the list until it is sent, so that no crash can lose it.

    `requeue` skips a message in whose place the caller has queued another meanwhile.
    """
    await publisher.publish(failed[1].model_copy(update={"recipient": "bob@example.com"}))

    for command in ("requeue", "requeue", None):
        await run(operator.settings, command)

    first, second, *lines, count = capsys.readouterr().out.splitlines()
    assert (first, second, count) == ("1 queued again", "0 queued again", "2 failed")
    assert all(line.endswith("why  (queued again)") for line in lines)
    jobs = [operator.stored.get(f"arq:job:{operator.queue}:{key}") for key in ("test:1", "test:2")]
    recipients = [json.loads(job)["a"][0]["recipient"] for job in jobs]
    assert recipients == ["ada@example.com", "bob@example.com"]


async def test_drop(failed: list[Message], publisher: ArqPublisher, operator: Operator) -> None:
    """A message that an operator drops is gone, and its key may be used again."""
    result = result_to_json({"a": [failed[0].model_dump(mode="json")]})
    operator.stored.set(f"{result_key_prefix}{operator.queue}:test:1", result)

    assert operator.run("app.queue.failed", "drop", "test:1") == (0, "1 dropped\n")
    assert operator.stored.hkeys(f"{operator.queue}:failed") == [b"test:2"]
    await publisher.publish(failed[0])
    assert operator.stored.zrange(operator.queue, 0, -1) == [f"{operator.queue}:test:1".encode()]
