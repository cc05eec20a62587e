"""The worker: takes jobs out of Redis, and calls `send`.

`python -m app.queue.worker` sends what is queued until SIGTERM, and `python -m app.queue.worker
check` exits with 0 while this host's worker is alive.
"""

import argparse
import asyncio
import json
import logging
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from arq import Retry, func
from prometheus_client import start_http_server
from pydantic import ValidationError
from redis import exceptions
from redis.asyncio.retry import Retry as Reconnect
from redis.backoff import ExponentialBackoff
from uvicorn.loops.auto import auto_loop_factory

from app import metrics
from app.database import open_database
from app.logging import configure_logging, log_context
from app.mail.client import check_connection, open_poststack
from app.mail.delivery import record
from app.mail.errors import PermanentError, TransientError
from app.mail.log import MailLog, Outcome, SendStatus
from app.mail.message import utc_now
from app.mail.sender import SEND_TIMEOUT
from app.migrations import prepare_database
from app.queue.attachments import Attachments, QueuedMessage
from app.queue.delivery import Delivery
from app.queue.jobs import UNAVAILABLE, Queue, Worker, from_json, open_queue, result_to_json
from app.settings import Settings, load_settings

GIVE_UP_AFTER = timedelta(hours=48)
"""Then an operator decides. PostStack forgets keys, and so accepts repeats, after 72 hours."""

KEEP_RESULT = timedelta(hours=72)
"""How long a message that was sent is not queued again: as long as PostStack knows its key."""

RECONNECT: dict[str, Any] = {
    "socket_timeout": 5,
    "retry": Reconnect(ExponentialBackoff(cap=2, base=0.1), 10),
    "retry_on_error": [exceptions.ConnectionError, exceptions.TimeoutError, OSError],
}
"""redis-py's options for a worker, which would otherwise end whenever Redis restarts."""

# Not `__name__`, which is `__main__` here.
logger = logging.getLogger("app.queue.worker")


async def run_worker(settings: Settings, queue: Queue) -> None:
    """Send until SIGTERM, and then finish what is being sent."""
    seconds = settings.redelivery_seconds
    if settings.metrics_port:
        start_http_server(settings.metrics_port)
    # Retries are the queue's: the SDK's would hide Retry-After and use up the attempt's time.
    async with (
        open_poststack(settings, max_retries=0) as poststack,
        open_database(settings) as database,
    ):
        send_timeout = min(SEND_TIMEOUT, seconds * 2 / 3)
        worker = Worker(
            # Killed workers and deployments count as tries, so GIVE_UP_AFTER is the bound.
            [func(send_email, name="send_email", max_tries=1_000_000)],
            queue_name=settings.queue_name,
            redis_pool=queue.redis,
            ctx={
                "queue": queue,
                "delivery": Delivery(poststack, MailLog(database), Attachments(database)),
                "send_timeout": send_timeout,
            },
            job_serializer=result_to_json,
            job_deserializer=from_json,
            job_timeout=seconds * 5 / 6,
            job_completion_wait=seconds,
            keep_result=KEEP_RESULT,
            health_check_interval=seconds / 2,
            health_check_key=queue.health_key,
            max_jobs=20,
            # The jobs that other workers are sending come first in what is read. With arq's 100 a
            # sixth worker would find nothing else there.
            queue_read_limit=2000,
            poll_delay=0.02,  # with arq's 0.5 a mail in an idle queue waited 265 ms
        )
        # How long no other worker touches a job that was begun: arq adds 10 to the job_timeout.
        worker.in_progress_timeout_s = seconds
        logger.info("starts to send what is in %s", settings.queue_name)
        try:
            with suppress(asyncio.CancelledError):  # arq's way to end after SIGTERM
                await worker.async_run()
        finally:
            await worker.close()
    logger.info("stopped")


async def send_email(ctx: dict[str, Any], message: Any, *, on_failed_list: bool) -> None:
    """Make one attempt at a message: the job.

    Returns or raises `Retry`, and nothing else: arq drops a job that raises anything else, or that
    exceeds `job_timeout` and does not turn its cancellation into a `Retry`.
    """
    key, attempt = ctx["job_id"].removeprefix(ctx["queue"].job_prefix), ctx["job_try"]
    request_id = message.get("request_id") if isinstance(message, dict) else None
    with log_context(idempotency_key=key, attempt=attempt, request_id=str(request_id or "")):
        try:
            if outcome := await try_to_send(ctx, message):
                await give_up(ctx, key, message, *outcome)
            elif on_failed_list:
                await ctx["queue"].redis.hdel(ctx["queue"].failed_key, key)
        except Retry:
            raise
        except (*UNAVAILABLE, asyncio.CancelledError) as error:
            raise Retry(defer=1) from error  # Redis is down, or the worker stops
        except Exception as error:
            logger.exception("unexpected error")
            raise Retry(defer=60) from error


async def give_up(
    ctx: dict[str, Any], key: str, message: Any, status: SendStatus, reason: str
) -> None:
    """Put a message on the failed list, with the reason."""
    queue, attempt, failed_at = ctx["queue"], ctx["job_try"], utc_now().isoformat()
    entry = {"message": message, "reason": reason, "attempts": attempt, "failed_at": failed_at}
    await queue.redis.hset(queue.failed_key, key, json.dumps(entry))
    metrics.FAILED.inc()
    logger.error("given up: %s", reason)
    with suppress(ValidationError):  # what is no message has no row
        valid = QueuedMessage.model_validate(message)
        await record(ctx["delivery"].log, valid, Outcome(status, reason=reason, attempts=attempt))


async def try_to_send(ctx: dict[str, Any], message: Any) -> tuple[SendStatus, str] | None:
    """Return None once PostStack has the message, or why to give it up, or raise `Retry`."""
    # Not from `created_at`: a message that an operator queues again gets as long again.
    deadline: datetime = ctx["enqueue_time"] + GIVE_UP_AFTER
    if utc_now() > deadline:
        return "failed", f"{GIVE_UP_AFTER} have passed"
    try:
        valid = QueuedMessage.model_validate(message)
        await ctx["delivery"].attempt(valid, ctx["job_try"], seconds=ctx["send_timeout"])
    except TransientError as error:
        delay = error.delay(ctx["job_try"])
        if utc_now() + timedelta(seconds=delay) > deadline:
            return "failed", str(error)
        metrics.RETRIED.inc()
        logger.info("retry in %.1f s", delay)
        raise Retry(defer=delay) from error
    except PermanentError as error:
        return "refused", str(error)
    except ValidationError as error:
        # Not in pydantic's words, which quote the mail.
        fields = [".".join(map(str, fault["loc"])) for fault in error.errors()]
        return "failed", f"not a message; see {fields}"
    except Exception as error:
        logger.exception("unexpected error")
        return "failed", f"unexpected error: {type(error).__name__}"
    return None


async def check(queue: Queue) -> None:
    """Exit with 1 unless this host's worker has just reported that it is alive."""
    if not await queue.redis.exists(queue.health_key):
        raise SystemExit(f"No worker is alive on this host: {queue.health_key} is not in Redis")


async def run(settings: Settings, command: str | None) -> None:
    """Run a worker, or check whether one is alive."""
    async with open_queue(settings, **({} if command else RECONNECT)) as queue:
        await (check(queue) if command else run_worker(settings, queue))


def main() -> None:
    """Read the command line and the environment, and run."""
    parser = argparse.ArgumentParser(prog="python -m app.queue.worker")
    parser.add_argument("command", nargs="?", choices=["check"])
    command = parser.parse_args().command
    settings = load_settings()
    configure_logging(settings)
    if not command:
        check_connection(settings)
        prepare_database(settings)
    try:
        # uvloop where uvicorn has brought it: most of a job's time goes to and from Redis.
        with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
            runner.run(run(settings, command))
    except UNAVAILABLE as error:
        raise SystemExit(f"Redis not reached: {error}") from None


if __name__ == "__main__":
    main()
