"""The worker: takes tasks out of RabbitMQ, and calls `send`.

`celery -A app.queue.worker worker` runs it until SIGTERM.
"""

import logging
import math
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, ExitStack, suppress
from datetime import timedelta
from functools import cache
from threading import Lock
from typing import Any, NoReturn, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal
from celery import Celery, Task
from celery.exceptions import Ignore, Reject
from celery.signals import (
    celeryd_init,
    setup_logging,
    worker_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
)
from celery.worker.consumer import Consumer
from kombu.message import Message as RawMessage
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import ValidationError

from app import metrics
from app.database import open_database
from app.logging import configure_logging, log_context
from app.mail.client import check_connection, open_poststack
from app.mail.delivery import record
from app.mail.errors import PermanentError, TransientError
from app.mail.log import MailLog, Outcome, SendStatus
from app.mail.message import Message, utc_now
from app.mail.sender import SEND_TIMEOUT
from app.migrations import prepare_database
from app.queue.attachments import Attachments, QueuedMessage
from app.queue.delivery import Delivery
from app.queue.publisher import REDACTED, configuration, failed_queue
from app.settings import Settings, load_settings

GIVE_UP_AFTER = timedelta(hours=48)
"""After that an operator decides: PostStack forgets a key, and so drops no repeats, after 72."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


@cache
def worker_settings() -> Settings:
    """Read the environment, once and when it is needed."""
    return load_settings()


def worker_configuration() -> dict[str, Any]:
    """Return Celery's settings; without these it can lose mail, and does not say so."""
    settings = worker_settings()
    return configuration(settings) | {
        "broker_connection_max_retries": None,
        "broker_connection_retry_on_startup": True,
        "control_exchange": f"{settings.queue_name}.control",
        "event_exchange": f"{settings.queue_name}.events",
        "accept_content": ["json"],
        "task_acks_late": True,  # after the attempt: a worker killed during it loses nothing
        "task_reject_on_worker_lost": True,  # nor does a child of it, which the line above forgets
        "task_acks_on_failure": False,  # what cannot even be given up goes to the failed queue
        "task_acks_on_timeout": False,
        "task_ignore_result": True,
        # Of an attempt that has outlived its own deadline; the prefork pool then ends the process.
        "task_time_limit": 3 * SEND_TIMEOUT,
        "worker_consumer": f"{__name__}:MailConsumer",
        "worker_prefetch_multiplier": 1,
        # SIGTERM waits for running attempts as it is, and each has a deadline; this is for SIGQUIT.
        "worker_soft_shutdown_timeout": SEND_TIMEOUT + 5,
    }


celery = Celery("app.queue.worker", set_as_current=False)
"""The worker's app, which reads the environment once it is used and not when it is imported."""

celery.add_defaults(worker_configuration)


@celery.task(bind=True, name="send_email", max_retries=None, mandatory=True)
def send_email(task: Task, data: Any) -> None:
    """Make one attempt at a message, and if it fails say when to make the next one."""
    request_id = data.get("request_id") if isinstance(data, dict) else None
    attempt = task.request.retries + 1
    with log_context(
        idempotency_key=task.request.id, attempt=attempt, request_id=str(request_id or "")
    ):
        try_to_send(task, data, attempt)


def try_to_send(task: Task, data: Any, attempt: int) -> None:
    """Send, or raise what makes Celery do as PostStack's answer demands."""
    try:
        message = QueuedMessage.model_validate(data)
    except ValidationError as error:
        # Without the values, which are somebody's mail.
        fields = [".".join(map(str, fault["loc"])) for fault in error.errors()]
        give_up(task, f"not a message; see {fields}")
    deadline = message.created_at + GIVE_UP_AFTER
    if utc_now() > deadline:  # while no worker ran, say
        give_up(task, f"{GIVE_UP_AFTER} have passed")
    try:
        client.deliver(message, attempt)
    except TransientError as error:
        delay = math.ceil(error.delay(attempt))  # Celery rounds down, and it may be PostStack's
        if utc_now() + timedelta(seconds=delay) > deadline:
            give_up(task, str(error))
        try:
            again = task.retry(exc=error, countdown=delay, throw=False, **REDACTED)
        except Reject as unpublished:
            # Celery would drop it; so it is the next worker's, at once.
            raise Reject(unpublished.reason, requeue=True) from error
        metrics.RETRIED.inc()
        logger.info("retry in %d s", delay)
        raise again from None
    except PermanentError as error:
        give_up(task, str(error), "refused")
    except Exception as error:
        logger.exception("unexpected error")
        give_up(task, f"unexpected error: {type(error).__name__}")


def give_up(task: Task, reason: str, status: SendStatus = "failed") -> NoReturn:
    """Move the task to the failed queue, with the reason."""
    task.apply_async(
        task.request.args,
        task.request.kwargs,
        task_id=task.request.id,
        queue=failed_queue(task.app.conf.task_default_queue),
        headers={"reason": reason[:1000], "attempts": task.request.retries + 1},
        **REDACTED,
    )
    metrics.FAILED.inc()
    logger.error("given up: %s", reason)
    with suppress(ValidationError):  # what is no message has no row
        message = QueuedMessage.model_validate(task.request.args[0])
        attempts = task.request.retries + 1
        client.record(message, Outcome(status, reason=reason, attempts=attempts))
    raise Ignore


class MailConsumer(Consumer):
    """Celery's, which would drop what is no task of ours, or end the worker over it."""

    def keep(self, _body: Any, message: RawMessage, *_: Any) -> None:
        """Move it to the failed queue, and keep its content out of the log."""
        with log_context(idempotency_key=str(message.headers.get("id", ""))):
            logger.error("not a task of this service")
        message.reject_log_error(logger, self.connection_errors)

    on_unknown_message = on_unknown_task = on_invalid_task = keep

    def create_task_handler(self, *arguments: Any, **options: Any) -> Callable[[RawMessage], None]:
        """Keep also what makes Celery's handler fail: a body of `null`, a task that is a list."""
        handle = super().create_task_handler(*arguments, **options)

        def handle_or_keep(message: RawMessage) -> None:
            try:
                handle(message)
            except (*self.connection_errors, *self.channel_errors):
                raise
            except Exception:
                self.keep(None, message)

        return handle_or_keep

    def on_decode_error(self, message: RawMessage, _error: Exception) -> None:
        """Keep what is not JSON."""
        self.keep(None, message)


class ProcessClient:
    """The event loop, PostStack's client and the database of this process, for all its threads.

    Opened when the first task runs and not before, because only then has prefork forked: a loop
    that was opened earlier hangs in the child. Threads and solo have no fork, and no signal for it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._stack = ExitStack()
        self._opened: tuple[BlockingPortal, Delivery] | None = None

    def deliver(self, message: QueuedMessage, attempt: int) -> None:
        """Send, and wait for the outcome."""
        portal, delivery = self._open()
        portal.call(delivery.attempt, message, attempt)

    def record(self, message: Message, outcome: Outcome) -> None:
        """Write into the mail log what became of a message, if the log could be opened."""
        if self._opened:
            portal, delivery = self._opened
            portal.call(record, delivery.log, message, outcome)

    def _open(self) -> tuple[BlockingPortal, Delivery]:
        with self._lock:
            if self._opened is None:
                portal = self._stack.enter_context(start_blocking_portal())

                def enter(manager: AbstractAsyncContextManager[T]) -> T:
                    return self._stack.enter_context(portal.wrap_async_context_manager(manager))

                settings = worker_settings()
                poststack = enter(open_poststack(settings, max_retries=0))  # the task retries
                database = enter(open_database(settings))
                delivery = Delivery(poststack, MailLog(database), Attachments(database))
                self._opened = portal, delivery
                logger.info("PostStack opened by process %d", os.getpid())
            return self._opened

    def close(self, **_: Any) -> None:
        """Close what was opened; a receiver of Celery's signals."""
        self._stack.close()


client = ProcessClient()
worker_process_shutdown.connect(client.close)  # prefork, in each child
worker_shutdown.connect(client.close)  # threads and solo


@celeryd_init.connect  # earlier, so that a warning not to be root is a line of the log, too
@setup_logging.connect
def set_up_logging(**_: Any) -> None:
    """Log as the API does; a receiver of `setup_logging` keeps Celery from configuring its own."""
    configure_logging(worker_settings())


@worker_ready.connect
def log_ready(**_: Any) -> None:
    """Log that RabbitMQ delivers to this worker."""
    logger.info("starts to send what is in %s", worker_settings().queue_name)


@worker_init.connect
def prepare(**_: Any) -> None:
    """See that PostStack can be reached, and bring the database up to date, or do not start."""
    check_connection(worker_settings())
    prepare_database(worker_settings())


@worker_init.connect
def serve_metrics(**_: Any) -> None:
    """Serve, from the worker's main process, the sum of its children's counters."""
    if port := worker_settings().metrics_port:
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            # prometheus_client decides this when it is imported, so it cannot be set here.
            raise SystemExit("METRICS_PORT needs PROMETHEUS_MULTIPROC_DIR, an empty folder")
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        start_http_server(port, registry=registry)
