"""What the service says while it runs: a JSON object a line in production, text in development.

What a line is about stands in its fields. They hold for every line within `with bound(...)`, also
for those of libraries, and of tasks that begin there:

    request_id         of the request that the message came with
    idempotency_key    of the message
    attempt            of a worker, the first being 1
    email_id           PostStack's, once it has accepted the message

No field and no line names a recipient or says what is in a mail.

Every process calls `configure` once it has its settings, after its server or its worker has set up
a logging of its own, or in place of it.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType

from app.settings import Settings

fields: ContextVar[Mapping[str, str | float]] = ContextVar("fields", default=MappingProxyType({}))
"""The fields of whatever is logged now."""


@contextmanager
def bound(**more: str | float) -> Iterator[None]:
    """Add fields to the lines that are logged within; empty ones are left out."""
    token = fields.set({**fields.get(), **{name: value for name, value in more.items() if value}})
    try:
        yield
    finally:
        fields.reset(token)


def request_id() -> str:
    """Return the id of the request that is being handled, or nothing outside of one."""
    return str(fields.get().get("request_id", ""))


class JSONFormatter(logging.Formatter):
    """For machines. What a library attaches to a record stays out: it could be a mail."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line; an exception's traceback is a string in it."""
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage().strip(),
            **fields.get(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class TextFormatter(logging.Formatter):
    """For people: the fields stand after the message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        """Write all of a record but its traceback."""
        line = super().formatMessage(record).rstrip()
        return "  ".join([line, *(f"{name}={value}" for name, value in fields.get().items())])


def without_query(record: logging.LogRecord) -> bool:
    """Cut the query off a line of uvicorn's access log: it can be anything, such as an address."""
    if record.name == "uvicorn.access" and isinstance(record.args, tuple):
        client, method, path, *rest = record.args
        record.args = (client, method, str(path).partition("?")[0], *rest)
    return True


def configure(settings: Settings) -> None:
    """Give all lines one form: ours and uvicorn's from INFO on, other libraries' from WARNING on.

    At INFO some libraries tell what they were given, and so whom we write to.
    """
    handler = logging.StreamHandler()
    in_production = settings.fastapi_env == "production"
    handler.setFormatter(JSONFormatter() if in_production else TextFormatter())
    handler.addFilter(without_query)
    logging.basicConfig(handlers=[handler])
    logging.captureWarnings(True)
    logging.getLogger("app").setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.access"):
        server = logging.getLogger(name)
        if server.handlers:  # There is none where uvicorn was told not to log.
            server.handlers.clear()
            server.propagate = True
