"""The worker, as it runs: a real Redis, real processes, and PostStack on the wire."""

import asyncio
import json
import re
import signal
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from time import monotonic
from typing import Any

import httpx
import pytest
from arq import Retry, func
from arq.constants import in_progress_key_prefix
from poststack import AsyncPostStack
from pydantic import SecretStr
from starlette.responses import JSONResponse

from app.database import Database
from app.mail.log import MailLog
from app.mail.message import Message, utc_now
from app.mail.sender import payload
from app.queue.attachments import Attachments
from app.queue.delivery import Delivery
from app.queue.failed import entries
from app.queue.jobs import Queue, Worker, from_json, open_queue, result_to_json
from app.queue.publisher import ArqPublisher
from app.queue.worker import run, send_email
from tests.queue.broker import relay
from tests.queue.commands import Operator, another
from tests.queue.postbox import Postbox, free_port, until
from tests.service import CONTENT, EVERYTHING, ON_THE_WIRE, Logged

BUSY = {"error": "Busy"}


async def test_attempts(
    publisher: ArqPublisher, message: Message, operator: Operator, postbox: Postbox
) -> None:
    """After a transient error the same mail is tried again, when PostStack says.

    A worker has one client, so mail after mail takes the same connection; and it counts.
    """
    postbox.answers.append(JSONResponse(BUSY, 503, {"retry-after": "0.5"}))
    port = free_port()

    with operator.worker(METRICS_PORT=str(port)):
        await publisher.publish(message)
        postbox.expect({"test:1": 0})
        await publisher.publish(another(message))
        postbox.expect({"test:1": 0, "test:2": 0})
        async with httpx.AsyncClient() as client:
            metrics = (await client.get(f"http://127.0.0.1:{port}/metrics")).text

    assert postbox.bodies == [payload(message)] * 2 + [payload(another(message))]
    [delay] = re.findall(r"retry in ([\d.]+) s  idempotency_key=test:1  attempt=1\n", operator.log)
    assert 0.5 <= float(delay) <= 1.5
    assert len(postbox.connections) == 1
    assert "\nmail_retried_total 1.0\n" in metrics
    assert "\nmail_accepted_total 2.0\n" in metrics


async def test_everything(
    publisher: ArqPublisher,
    message: Message,
    operator: Operator,
    *,
    postbox: Postbox,
    own_database: Database,
) -> None:
    """All that a mail carries arrives. Redis has no attachment, and the database afterwards none.

    A repeat is not queued again, and leaves no attachment behind.
    """
    full = Message.model_validate(message.model_dump() | EVERYTHING)
    await publisher.publish(full)
    job = operator.stored.get(f"arq:job:{operator.queue}:test:1")
    assert CONTENT not in str(job)
    assert await own_database.fetch("SELECT content FROM attachments")

    with operator.worker():
        until(lambda: not operator.stored.zcard(operator.queue))
        await publisher.publish(full)

    assert [body.items() >= ON_THE_WIRE.items() for body in postbox.bodies] == [True]
    assert postbox.mails() == {"test:1": 0}
    assert await own_database.fetch("SELECT content FROM attachments") == []


async def test_two_workers(
    queue: Queue, publisher: ArqPublisher, message: Message, operator: Operator, postbox: Postbox
) -> None:
    """Workers that find the same jobs share them: each is sent by one, and once.

    What others are sending is at the head of the queue, and does not hide what is free.
    """
    taken = [f"{queue.job_prefix}{number}" for number in range(120)]
    await queue.redis.mset({in_progress_key_prefix + job_id: 1 for job_id in taken})
    await queue.redis.zadd(queue.name, dict.fromkeys(taken, 1))
    keys = [f"test:{number}" for number in range(60)]
    for key in keys:
        await publisher.publish(message.model_copy(update={"idempotency_key": key}))

    with operator.worker(), operator.worker():
        postbox.expect(dict.fromkeys(keys, 0))
        until(lambda: operator.stored.zcard(queue.name) == len(taken))


async def test_locks(queue: Queue, operator: Operator) -> None:
    """A worker locks the jobs that are due and that no other has, and no others."""
    worker = Worker([send_email], redis_pool=queue.redis, queue_name=queue.name)
    await queue.put("now", {})
    due, later, gone = (queue.job_prefix + name for name in ("now", "later", "gone"))
    in_a_minute = utc_now() + timedelta(minutes=1)
    await queue.redis.zadd(queue.name, {later: in_a_minute.timestamp() * 1000})

    locked = [[job_id for job_id, _ in await worker._lock([due, later, gone])] for _ in range(2)]

    assert locked == [[due], []]
    locks = [operator.stored.exists(in_progress_key_prefix + key) for key in (due, later, gone)]
    assert locks == [1, 0, 0]


async def test_alive(queue: Queue) -> None:
    """The worker's loop turns every second, however long the queue is and the sends take."""

    async def send_slowly(ctx: dict[Any, Any], *_: Any, **__: Any) -> None:  # noqa: ARG001  arq's
        await asyncio.sleep(0.5)

    worker = Worker(
        [func(send_slowly, name="send_email")],
        redis_pool=queue.redis,
        queue_name=queue.name,
        job_serializer=result_to_json,
        job_deserializer=from_json,
        max_jobs=1,
    )
    keys = [str(number) for number in range(8)]
    for key in keys:
        await queue.put(key, {})

    start = monotonic()
    await worker.start_jobs([f"{queue.job_prefix}{key}".encode() for key in keys])
    assert monotonic() - start < 2.5  # for all of them it would be 3.5
    await asyncio.gather(*worker.tasks.values())
    assert worker.jobs_complete in {2, 3}


async def test_cancelled(queue: Queue) -> None:
    """A worker ends when it is cancelled, whatever it is doing."""
    for number in range(20):
        worker = Worker([send_email], redis_pool=queue.redis, queue_name=queue.name, poll_delay=0)
        running = asyncio.create_task(worker.async_run())
        await asyncio.sleep(0.01 + number / 1000)
        assert worker.main_task
        worker.main_task.cancel()
        ended, _ = await asyncio.wait({running}, timeout=5)
        assert ended


UNREADABLE = [
    b"\x80\x04pickle",
    b"[" * 100_000,
    b'{"f": "other", "a": [1, 2], "k": {}, "t": null, "et": 1}',
    b'{"f": "send_email", "a": [{}], "k": {}, "t": null, "et": 1e300}',
    b'{"f": "send_email", "a": [{"to": "ada@example.com"}], "k": {"x": 1}, "et": 4e12}',
]


async def test_hostile_jobs(
    queue: Queue,
    publisher: ArqPublisher,
    message: Message,
    *,
    operator: Operator,
    postbox: Postbox,
) -> None:
    """An id that is no text is kept aside, a time before all times is due, and the rest goes on."""
    odd = f"{queue.job_prefix}".encode() + b"\xff\x1b[31m"
    operator.stored.set(b"arq:job:" + odd, b"planted")
    operator.stored.zadd(queue.name, {odd: 1})
    await publisher.publish(message)
    operator.stored.zadd(queue.name, {f"{queue.job_prefix}test:1": "-inf"})

    with operator.worker() as worker:
        postbox.expect({"test:1": 0})
        await publisher.publish(another(message))
        postbox.expect({"test:1": 0, "test:2": 0})
        until(lambda: not operator.stored.zcard(queue.name))
        assert worker.poll() is None

    code, output = operator.run("app.queue.failed")
    assert (code, output.count("its id is not UTF-8"), "\x1b" in output) == (0, 1, False)
    assert "planted" not in operator.log


async def test_log(
    queue: Queue, publisher: ArqPublisher, message: Message, operator: Operator
) -> None:
    """In production a worker's lines are JSON, and those of an attempt say which it is.

    Jobs that cannot be read are kept and reported, and keep nobody from the next.
    """
    for number, raw in enumerate(UNREADABLE):
        operator.stored.set(f"arq:job:{queue.job_prefix}bad-{number}", raw)
        operator.stored.zadd(queue.name, {f"{queue.job_prefix}bad-{number}": 1})
    await publisher.publish(message.model_copy(update={"request_id": "request-1"}))
    production = {
        "FASTAPI_ENV": "production",
        "SENDER_EMAIL": "hello@acme.dev",
        "POSTSTACK_BASE_URL": f"https://127.0.0.1:{free_port()}",
        "POSTSTACK_WEBHOOK_SECRET": "whsec_8ff2c4a1d09b4e5fb67d3c1a",
        "API_KEYS": "planted-8ff2c4a1d09b4e5fb67d3c1aa2e6",
    }

    with operator.worker(**production):
        operator.expect_log("retry in")
        until(lambda: operator.log.count("given up: not a message; see") == len(UNREADABLE))

    assert "ada@example.com" not in operator.log
    failed = dict([item async for item in entries(queue)])
    assert len(failed) == len(UNREADABLE)
    assert failed["bad-0"]["message"] == "\\x80\x04pickle"
    assert failed["bad-4"]["message"] == {"to": "ada@example.com"}
    lines = [json.loads(line) for line in operator.log.splitlines()]
    assert lines[0]["logger"] == "app.queue.worker"
    about = {"request_id": "request-1", "idempotency_key": "test:1", "attempt": 1}
    attempt = [line["message"] for line in lines if line.items() >= about.items()]
    assert [words.split(" ")[0] for words in attempt] == ["PostStack", "retry"]


async def test_stopped_worker(
    publisher: ArqPublisher, message: Message, operator: Operator, postbox: Postbox
) -> None:
    """On SIGTERM a worker finishes what it is sending, and takes nothing new."""
    postbox.silent = True
    await publisher.publish(message)
    with operator.worker() as worker:
        postbox.expect({"test:1": 0})
        worker.terminate()
        await asyncio.sleep(0.5)  # time to end, if it did not finish
        assert worker.poll() is None
        await publisher.publish(another(message))
        await asyncio.sleep(0.3)  # time to take it, if it took anything
        postbox.silent = False
        assert worker.wait(20) == 0

    assert postbox.mails() == {"test:1": 0}
    left = operator.stored.zrange(operator.queue, 0, -1)
    assert left == [f"{operator.queue}:test:2".encode()]


async def test_redis_restarts(
    publisher: ArqPublisher, message: Message, operator: Operator, postbox: Postbox, redis_url: str
) -> None:
    """A worker outlives an outage of Redis, and takes what came meanwhile."""
    port = free_port()
    with ExitStack() as stack:
        async with relay(redis_url, port) as url:
            worker = stack.enter_context(operator.worker(REDIS_URL=url))
            await publisher.publish(message)
            await asyncio.to_thread(postbox.expect, {"test:1": 0})
        await publisher.publish(another(message))
        await asyncio.sleep(1)  # time to end, if it did not wait for Redis
        async with relay(redis_url, port):
            await asyncio.to_thread(postbox.expect, {"test:1": 0, "test:2": 0})
            worker.terminate()
            assert await asyncio.to_thread(worker.wait, 20) == 0


async def test_killed_worker(
    queue: Queue, publisher: ArqPublisher, message: Message, operator: Operator, postbox: Postbox
) -> None:
    """The mail of a worker that is killed while it sends is sent by another, and is one mail.

    `check` tells a worker that is idle or busy from one that is frozen.
    """
    postbox.silent = True
    with operator.worker() as worker:
        until(lambda: operator.stored.exists(queue.health_key))
        assert operator.run("app.queue.worker", "check") == (0, "")
        await publisher.publish(message)
        postbox.expect({"test:1": 0})
        await run(operator.settings, "check")
        worker.send_signal(signal.SIGSTOP)
        until(lambda: not operator.stored.exists(queue.health_key), 3)
        with pytest.raises(SystemExit, match="No worker is alive"):
            await run(operator.settings, "check")
        worker.kill()
        worker.wait()
    postbox.silent = False

    with operator.worker():
        postbox.expect({"test:1": 1})

    assert postbox.bodies == [payload(message)] * 2


@pytest.fixture
def context(queue: Queue, poststack: AsyncPostStack, own_database: Database) -> dict[str, Any]:
    """What a worker's jobs have."""
    delivery = Delivery(poststack, MailLog(own_database), Attachments(own_database))
    return {"queue": queue, "delivery": delivery, "send_timeout": 5.0}


async def attempt(
    context: dict[str, Any], message: object, waited: timedelta = timedelta(0)
) -> None:
    """Run the job as arq does, for the seventh time."""
    job_id, queued_at = f"{context['queue'].name}:test:1", utc_now() - waited
    job = {"job_id": job_id, "job_try": 7, "enqueue_time": queued_at}
    await send_email(context | job, message, on_failed_list=False)


async def test_deadline(
    context: dict[str, Any], queue: Queue, message: Message, postbox: Postbox
) -> None:
    """A message is given up 48 hours after it was queued, and before if it would have to wait."""
    data = message.model_dump(mode="json")
    postbox.answers.append(JSONResponse(BUSY, 503, {"retry-after": "3600"}))

    await attempt(context, data, timedelta(hours=47, minutes=30))
    [(_, entry)] = [failed async for failed in entries(queue)]
    assert (entry["message"], entry["attempts"]) == (data, 7)
    assert entry["reason"].startswith("PostStack answered 503")

    await attempt(context, data, timedelta(hours=48, seconds=1))
    [(_, entry)] = [failed async for failed in entries(queue)]
    assert entry["reason"] == "2 days, 0:00:00 have passed"
    assert len(postbox.bodies) == 1


async def test_bug(context: dict[str, Any], queue: Queue, message: Message, logged: Logged) -> None:
    """A bug loses no message: it is given up or, where that fails, stays in the queue.

    The log has the stack trace.
    """
    broken = context | {"delivery": replace(context["delivery"], poststack=None)}
    await attempt(broken, message.model_dump(mode="json"))
    assert [key async for key, _ in entries(queue)] == ["test:1"]
    with pytest.raises(Retry):
        await attempt(broken, {"html": object()})

    bug, given_up, other_bug = logged()
    assert "AttributeError" in bug["exception"]
    assert given_up["message"] == "given up: unexpected error: AttributeError"
    assert "TypeError" in other_bug["exception"]
    for line in (bug, given_up, other_bug):
        assert (line["idempotency_key"], line["attempt"]) == ("test:1", 7)


async def test_interrupted_attempt(
    context: dict[str, Any], message: Message, operator: Operator, postbox: Postbox
) -> None:
    """An attempt that arq cancels, or that finds Redis down, is made again."""
    data = message.model_dump(mode="json")
    postbox.silent = True
    running = asyncio.create_task(attempt(context, data))
    await asyncio.sleep(0.2)  # time to reach PostStack
    running.cancel()
    with pytest.raises(Retry):
        await running

    url = SecretStr(f"redis://127.0.0.1:{free_port()}/0")
    async with open_queue(operator.settings.model_copy(update={"redis_url": url})) as unavailable:
        with pytest.raises(Retry):
            await attempt(context | {"queue": unavailable}, data)


def test_redis_refused(operator: Operator) -> None:
    """Without Redis a command ends with exit code 1 and one line, without the password in it."""
    redis_url = f"redis://:planted@127.0.0.1:{free_port()}/0"
    for command in (["app.queue.worker", "check"], ["app.queue.failed"]):
        code, output = operator.run(*command, REDIS_URL=redis_url)
        assert (code, output.count("\n")) == (1, 1)
        assert output.startswith("Redis not reached: ")
        assert "planted" not in output
