"""The queue in Redis: how jobs are stored and found, and how a worker takes them."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import arq
from arq.constants import in_progress_key_prefix, job_key_prefix, result_key_prefix
from arq.jobs import Job, JobStatus
from arq.utils import timestamp_ms
from pydantic import ValidationError
from redis import exceptions
from redis.asyncio import ConnectionPool

from app.logging import log_context
from app.mail.errors import ConflictError
from app.mail.sender import payload
from app.queue.attachments import QueuedMessage
from app.settings import Settings

EXPIRY = timedelta(days=30)
"""How long Redis keeps a job that no worker takes; arq's default would lose it after a day."""

logger = logging.getLogger(__name__)

UNAVAILABLE = (exceptions.RedisError, OSError)
"""What redis-py raises when Redis is down, refuses, or takes too long."""


class Queue:
    """What Redis holds of this service: its jobs, and the messages that were given up."""

    def __init__(self, redis: arq.ArqRedis, name: str) -> None:
        self.redis: Any = redis  # redis-py's types say that its commands may not be awaitable
        self.name = name
        # arq's job ids are those of the whole database: without the name, the message of another
        # service under the same key would pass for ours.
        self.job_prefix = f"{name}:"
        self.failed_key = f"{name}:failed"
        # One per host, since any worker that stops deletes it.
        self.health_key = f"{name}:health:{socket.gethostname()}"

    async def put(self, key: str, message: Any) -> bool:
        """Queue a message; return false if it is queued, being sent or sent already.

        Raises `ConflictError` if that is a different message under the same key.
        """
        job_id = self.job_prefix + key
        job = await self.redis.enqueue_job(
            "send_email",
            message,
            on_failed_list=await self.forget_failure(key),
            _job_id=job_id,
            _expires=EXPIRY,
        )
        if job is None:
            await self._compare(job_id, message)
        return job is not None

    async def forget_failure(self, key: str) -> bool:
        """Delete the result of a job that failed, which would keep the next one out.

        Returns whether there is a message with this key on the failed list.
        """
        on_failed_list = await self.redis.hexists(self.failed_key, key)
        if on_failed_list:
            await self.redis.delete(result_key_prefix + self.job_prefix + key)
        return bool(on_failed_list)

    async def _compare(self, job_id: str, message: Any) -> None:
        """Raise unless this is the message that arq has under this id."""
        waiting, done = await self.redis.mget(job_key_prefix + job_id, result_key_prefix + job_id)
        if not (waiting or done):
            # arq returns None also when Redis dies between WATCH and EXEC. Where that was taken
            # for "queued already", killing Redis lost 2 or 3 of 9,000 messages in each of 4 runs.
            raise exceptions.ConnectionError("Redis went away before the job was stored")
        try:
            known = json.loads(waiting or done)["a"]
            if waiting:
                known = [digest(each) for each in known]
        except (ValueError, LookupError, TypeError, RecursionError):
            known = None  # no job of ours
        if known != [digest(message)]:
            raise ConflictError("a different message is queued, or was sent, under this key")

    async def status(self, key: str) -> JobStatus:
        """Return what arq knows of a message's job."""
        return await Job(self.job_prefix + key, self.redis, self.name).status()


@asynccontextmanager
async def open_queue(settings: Settings, **options: Any) -> AsyncIterator[Queue]:
    """Open a pool of connections to Redis, which connect when they are needed.

    `options` are redis-py's. By default Redis has 2 seconds to answer, and one attempt.
    """
    options = {"socket_connect_timeout": 2, "socket_timeout": 2} | options
    pool = ConnectionPool.from_url(settings.redis_url.get_secret_value(), **options)
    try:
        redis = arq.ArqRedis(pool, to_json, default_queue_name=settings.queue_name)
        yield Queue(redis, settings.queue_name)
    finally:
        await pool.disconnect()


def to_json(job: dict[str, Any]) -> bytes:
    """Write a job as JSON; arq's default is pickle, which can run code."""
    return json.dumps(job).encode()


def from_json(raw: bytes) -> dict[str, Any]:
    """Read a job; what is none becomes one whose message `send_email` refuses and keeps.

    arq itself deletes a job that it cannot read, and ends over a time beyond the calendar.
    """
    try:
        job = json.loads(raw)
        [message], queued_at = job["a"], int(job["et"])
        more = {"on_failed_list": bool(job["k"].get("on_failed_list"))}
        datetime.fromtimestamp(queued_at / 1000, UTC)
    except Exception:
        message, queued_at = raw.decode(errors="backslashreplace"), timestamp_ms()
        more = {"on_failed_list": False}
    return {"f": "send_email", "a": [message], "k": more, "t": None, "et": queued_at}


def result_to_json(result: dict[str, Any]) -> bytes:
    """Write a job's result; it has to exist, and to tell what was sent, but not in clear."""
    return to_json(result | {"a": [digest(message) for message in result["a"]], "r": None})


def digest(message: Any) -> str:
    """Tell messages apart without keeping them, by what PostStack would get."""
    try:
        queued = QueuedMessage.model_validate(message)
        content: Any = payload(queued)
        if queued.attachments:
            content["attachments"] = [attachment.id for attachment in queued.attachments]
    except ValidationError:
        content = message  # not valid, so the worker will refuse and keep it
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Worker(arq.Worker):
    """arq's worker, which here locks as many jobs in one call as it has free slots.

    arq calls Redis four times for each job, one job after the other, and again for those that it
    already runs: 20 concurrent sends of 20 ms were 440 emails a second. Here they are 670, and
    without a queue 900.
    """

    def __init__(self, *functions: Any, **options: Any) -> None:
        super().__init__(*functions, **options)
        self.sem = asyncio.BoundedSemaphore(self.max_jobs)  # arq's has one slot more than jobs

    async def _poll_iteration(self) -> None:
        # Python 3.11 loses a cancellation, arq's way to end, if it comes while redis-py writes.
        if self.main_task and self.main_task.cancelling():
            raise asyncio.CancelledError
        await super()._poll_iteration()

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Start the jobs that are due and that no other worker has, as slots become free."""
        waiting = []
        for raw in job_ids:
            try:
                job_id = raw.decode()
            except UnicodeDecodeError:
                await self._set_aside(raw)
                continue
            if job_id not in self.tasks:
                waiting.append(job_id)
        end = self.loop.time() + 1  # then arq has to record that the worker is alive
        while waiting and self.allow_pick_jobs and await self._wait_for_slot(end):
            free = self.max_jobs - self.job_counter
            locked, waiting = await self._lock(waiting[:free]), waiting[free:]
            for job_id, score in locked:
                await self.sem.acquire()
                self.job_counter += 1
                self.tasks[job_id] = task = self.loop.create_task(self.run_job(job_id, score))
                task.add_done_callback(self._free_slot)

    async def _set_aside(self, job_id: bytes) -> None:
        """Move a job whose id is no text, over which arq would end, to the failed list."""
        key, stored = job_id.decode(errors="backslashreplace"), job_key_prefix.encode() + job_id
        raw = await self.pool.get(stored) or b""
        entry = {
            "message": raw.decode(errors="backslashreplace"),
            "reason": "its id is not UTF-8",
            "attempts": 0,
        }
        async with self.pool.pipeline(transaction=True) as pipe:
            pipe.hset(Queue(self.pool, self.queue_name).failed_key, key, json.dumps(entry))
            pipe.zrem(self.queue_name, job_id)
            pipe.delete(stored)
            await pipe.execute()
        with log_context(idempotency_key=key):
            logger.error("given up: its id is not UTF-8")

    async def _wait_for_slot(self, end: float) -> bool:
        """Wait for a free slot until the loop's clock says `end`."""
        try:
            async with asyncio.timeout_at(end):
                await self.sem.acquire()
        except TimeoutError:
            return False
        self.sem.release()
        return self.loop.time() < end

    def _free_slot(self, _: asyncio.Task[Any]) -> None:
        self.job_counter -= 1
        self.sem.release()

    async def _lock(self, job_ids: Sequence[str]) -> list[tuple[str, int]]:
        """Lock jobs as arq does; return those that this worker got, with their times."""
        async with self.pool.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                key = in_progress_key_prefix + job_id
                pipe.set(key, b"1", px=int(self.in_progress_timeout_s * 1000), nx=True)
                pipe.zscore(self.queue_name, job_id)
            answers = await pipe.execute()
        locked, stale = [], []
        for job_id, is_ours, score in zip(job_ids, answers[::2], answers[1::2], strict=True):
            if is_ours and score and score <= timestamp_ms():
                locked.append((job_id, int(max(score, 0))))  # it can be minus infinity
            elif is_ours:  # done, or put off, since its id was read
                stale.append(in_progress_key_prefix + job_id)
        if stale:
            await self.pool.delete(*stale)
        return locked
