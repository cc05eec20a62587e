"""The worker, as it runs: a real Redis, real processes, and PostStack on the wire."""

import asyncio
import json
import re
import signal
from contextlib import ExitStack
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

from app.delivery import payload
from app.dispatch import PROMPT, Dispatch, DispatchSettings, Queue, open_queue
from app.failed import entries
from app.jobs import Worker, decode, forget
from app.messages import Message, now
from app.worker import run, send_email
from tests.conftest import Logged
from tests.dispatch.broker import relay
from tests.dispatch.commands import Service, another
from tests.dispatch.postbox import Postbox, free_port, until


async def test_attempts(
    dispatch: Dispatch, message: Message, operator: Service, postbox: Postbox
) -> None:
    """A temporary error is tried again when PostStack wishes, and it is the same mail.

    A worker has one client, so mail after mail takes the same connection; and it counts.
    """
    postbox.answers.append(JSONResponse({"error": "Busy"}, 503, {"retry-after": "0.5"}))
    port = free_port()

    with operator.worker(METRICS_PORT=str(port)):
        await dispatch(message)
        postbox.expect({"test:1": 0})
        await dispatch(another(message))
        postbox.expect({"test:1": 0, "test:2": 0})
        async with httpx.AsyncClient() as client:
            metrics = (await client.get(f"http://127.0.0.1:{port}/metrics")).text

    assert postbox.bodies == [payload(message)] * 2 + [payload(another(message))]
    [delay] = re.findall(r"again in ([\d.]+) s  idempotency_key=test:1  attempt=1\n", operator.log)
    assert 0.5 <= float(delay) <= 1.5
    assert len(postbox.connections) == 1
    assert "\nmail_retried_total 1.0\n" in metrics
    assert "\nmail_accepted_total 2.0\n" in metrics


UNREADABLE = [
    b"\x80\x04pickle",
    b"[" * 100_000,
    b'{"f": "other", "a": [1, 2], "k": {}, "t": null, "et": 1}',
    b'{"f": "send_email", "a": [{}], "k": {}, "t": null, "et": 1e300}',
    b'{"f": "send_email", "a": [{"to": "ada@example.com"}], "k": {"x": 1}, "et": 4e12}',
]


def queue_unreadable(operator: Service) -> None:
    """Put at the head of the queue what is no job of ours."""
    for number, raw in enumerate(UNREADABLE):
        operator.stored.set(f"arq:job:{operator.queue}:bad-{number}", raw)
        operator.stored.zadd(operator.queue, {f"{operator.queue}:bad-{number}": 1})


async def test_two_workers(
    queue: Queue, dispatch: Dispatch, message: Message, operator: Service, postbox: Postbox
) -> None:
    """Workers that find the same jobs share them: each is sent by one, and once.

    They go on after jobs that cannot be read.
    """
    queue_unreadable(operator)
    keys = [f"test:{number}" for number in range(60)]
    for key in keys:
        await dispatch(message.model_copy(update={"idempotency_key": key}))

    with operator.worker(), operator.worker():
        postbox.expect(dict.fromkeys(keys, 0))
        until(lambda: operator.stored.hlen(queue.failed_key) == len(UNREADABLE))

    assert operator.stored.zcard(operator.queue) == 0


async def test_taking(queue: Queue, operator: Service) -> None:
    """A worker takes what is due and what no other has; what it leaves is free."""
    worker = Worker([send_email], redis_pool=queue.redis, queue_name=queue.name)
    await queue.put("now", {})
    due, later, gone = (queue.job_prefix + name for name in ("now", "later", "gone"))
    await queue.redis.zadd(queue.name, {later: (now() + timedelta(minutes=1)).timestamp() * 1000})

    taken = [[job_id for job_id, _ in await worker._take([due, later, gone])] for _ in range(2)]

    assert taken == [[due], []]
    locks = [operator.stored.exists(in_progress_key_prefix + key) for key in (due, later, gone)]
    assert locks == [1, 0, 0]


async def test_many_workers(
    queue: Queue, dispatch: Dispatch, message: Message, operator: Service, postbox: Postbox
) -> None:
    """What others are sending is at the head of the queue, and does not hide what is free."""
    taken = [f"{queue.job_prefix}{number}" for number in range(120)]
    await queue.redis.mset({in_progress_key_prefix + job_id: 1 for job_id in taken})
    await queue.redis.zadd(queue.name, dict.fromkeys(taken, 1))

    with operator.worker():
        await dispatch(message)
        postbox.expect({"test:1": 0})


async def test_sign_of_life(queue: Queue) -> None:
    """The worker's loop turns every second, however long the queue is and the sends take."""

    async def send_slowly(ctx: dict[Any, Any], *_: Any, **__: Any) -> None:  # noqa: ARG001  arq's
        await asyncio.sleep(0.5)

    worker = Worker(
        [func(send_slowly, name="send_email")],
        redis_pool=queue.redis,
        queue_name=queue.name,
        job_serializer=forget,
        job_deserializer=decode,
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


async def test_log(queue: Queue, dispatch: Dispatch, message: Message, operator: Service) -> None:
    """In production a worker's lines are JSON, and those of an attempt say which it is.

    Jobs that cannot be read are kept and reported.
    """
    queue_unreadable(operator)
    production = {
        "FASTAPI_ENV": "production",
        "SENDER_EMAIL": "hello@acme.dev",
        "POSTSTACK_BASE_URL": f"https://127.0.0.1:{free_port()}",
        "POSTSTACK_WEBHOOK_SECRET": "whsec_1",
        "API_KEYS": "planted-8ff2c4a1d09b4e5fb67d3c1aa2e6",
    }
    await dispatch(message.model_copy(update={"request_id": "request-1"}))

    with operator.worker(**production):
        operator.expect_log("again in")
        until(lambda: operator.log.count("given up: not a message; see") == len(UNREADABLE))

    assert "ada@example.com" not in operator.log
    failed = dict([item async for item in entries(queue)])
    assert len(failed) == len(UNREADABLE)
    assert failed["bad-0"]["message"] == "\\x80\x04pickle"
    assert failed["bad-4"]["message"] == {"to": "ada@example.com"}
    lines = [json.loads(line) for line in operator.log.splitlines()]
    assert lines[0]["message"].startswith("starts ")
    about = {"request_id": "request-1", "idempotency_key": "test:1", "attempt": 1}
    attempt = [line["message"] for line in lines if line.items() >= about.items()]
    assert [words.split(" ")[0] for words in attempt] == ["PostStack", "again"]


async def test_stopped_worker(
    dispatch: Dispatch, message: Message, operator: Service, postbox: Postbox
) -> None:
    """A worker that is asked to stop finishes what it is sending, and takes nothing new."""
    postbox.silent = True
    await dispatch(message)
    with operator.worker() as worker:
        postbox.expect({"test:1": 0})
        worker.terminate()
        await asyncio.sleep(0.5)  # time to end, if it did not finish
        assert worker.poll() is None
        await dispatch(another(message))
        await asyncio.sleep(0.3)  # time to take it, if it took anything
        postbox.silent = False
        assert worker.wait(20) == 0

    assert postbox.mails() == {"test:1": 0}
    left = operator.stored.zrange(operator.queue, 0, -1)
    assert left == [f"{operator.queue}:test:2".encode()]


async def test_redis_restarts(
    dispatch: Dispatch,
    message: Message,
    operator: Service,
    postbox: Postbox,
    redis_url: str,
) -> None:
    """A worker outlives the absence of Redis, and takes what came meanwhile."""
    port = free_port()
    with ExitStack() as stack:
        async with relay(redis_url, port) as url:
            worker = stack.enter_context(operator.worker(REDIS_URL=url))
            await dispatch(message)
            await asyncio.to_thread(postbox.expect, {"test:1": 0})
        await dispatch(another(message))
        await asyncio.sleep(1)  # time to end, if it did not wait for Redis
        async with relay(redis_url, port):
            await asyncio.to_thread(postbox.expect, {"test:1": 0, "test:2": 0})
            worker.terminate()
            assert await asyncio.to_thread(worker.wait, 20) == 0


async def test_killed_worker(
    queue: Queue, dispatch: Dispatch, message: Message, operator: Service, postbox: Postbox
) -> None:
    """The mail of a worker that is killed while it sends is sent by another, and is one mail.

    `check` tells a worker that is idle or busy from one that is frozen, and from no Redis.
    """
    postbox.silent = True
    with operator.worker() as worker:
        until(lambda: operator.stored.exists(queue.health_key))
        assert operator.run("app.worker", "check") == (0, "")
        await dispatch(message)
        postbox.expect({"test:1": 0})
        await run(operator.settings, "check")
        worker.send_signal(signal.SIGSTOP)
        code, said = operator.run(
            "app.worker", "check", REDIS_URL=f"redis://:planted@127.0.0.1:{free_port()}/0"
        )
        until(lambda: not operator.stored.exists(queue.health_key), 3)
        with pytest.raises(SystemExit, match="No sign of life"):
            await run(operator.settings, "check")
        worker.kill()
        worker.wait()
    assert (code, said.count("\n")) == (1, 1)
    assert "planted" not in said
    postbox.silent = False

    with operator.worker():
        postbox.expect({"test:1": 1})

    assert postbox.bodies == [payload(message)] * 2


def attempt(queue: Queue, poststack: object, **changes: object) -> dict[str, Any]:
    """What arq tells a job."""
    return {
        "queue": queue,
        "poststack": poststack,
        "seconds": 5.0,
        "job_id": f"{queue.name}:test:1",
        "job_try": 7,
        "enqueue_time": now(),
    } | changes


async def test_deadline(
    queue: Queue, poststack: AsyncPostStack, message: Message, postbox: Postbox
) -> None:
    """A message is given up 48 hours after it was queued, and before if it would have to wait."""
    data = message.model_dump(mode="json")
    postbox.answers.append(JSONResponse({"error": "Busy"}, 503, {"retry-after": "3600"}))

    late = now() - timedelta(hours=47, minutes=30)
    await send_email(attempt(queue, poststack, enqueue_time=late), data)
    [(_, entry)] = [failed async for failed in entries(queue)]
    assert (entry["message"], entry["attempts"]) == (data, 7)
    assert entry["reason"].startswith("PostStack answered 503")

    too_late = now() - timedelta(hours=48, seconds=1)
    await send_email(attempt(queue, poststack, enqueue_time=too_late), data)
    [(_, entry)] = [failed async for failed in entries(queue)]
    assert entry["reason"] == "2 days, 0:00:00 have passed"
    assert len(postbox.bodies) == 1


async def test_bug(queue: Queue, operator: Service, message: Message, logged: Logged) -> None:
    """A bug does not lose the message either, and leaves its stack trace in the log."""
    await send_email(attempt(queue, poststack=None), message.model_dump(mode="json"))

    assert operator.stored.hexists(queue.failed_key, "test:1")
    bug, given_up = logged()
    assert "Traceback" in bug["exception"]
    assert given_up["message"] == "given up: a bug: AttributeError"
    for line in (bug, given_up):
        assert (line["idempotency_key"], line["attempt"]) == ("test:1", 7)


async def test_bug_in_giving_up(queue: Queue, logged: Logged) -> None:
    """What cannot even be given up stays in the queue, and the log says why."""
    with pytest.raises(Retry):
        await send_email(attempt(queue, poststack=None), {"html": object()})

    [bug] = logged()
    assert "TypeError" in bug["exception"]


async def test_interrupted_attempt(
    queue: Queue, poststack: AsyncPostStack, message: Message, postbox: Postbox
) -> None:
    """An attempt that arq cancels, or that finds Redis away, is made again."""
    data = message.model_dump(mode="json")
    postbox.silent = True
    running = asyncio.create_task(send_email(attempt(queue, poststack), data))
    await asyncio.sleep(0.2)
    running.cancel()
    with pytest.raises(Retry):
        await running

    url = SecretStr(f"redis://127.0.0.1:{free_port()}/0")
    async with open_queue(
        DispatchSettings(fastapi_env="development", redis_url=url), PROMPT
    ) as gone:
        with pytest.raises(Retry):
            await send_email(attempt(gone, poststack=None), data)


def test_worker_refuses(operator: Service) -> None:
    """A worker with bad settings ends with exit code 1 and a line for each."""
    code, said = operator.run("app.worker", QUEUE_NAME="Mail", METRICS_PORT="-1")

    assert code == 1
    assert [line.split()[0] for line in said.splitlines()[1:]] == ["QUEUE_NAME", "METRICS_PORT"]
