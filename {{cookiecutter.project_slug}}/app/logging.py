"""The log: a JSON object a line in production, text in development.

Fields (`docs/operations.md` lists them) say what a line is about. They hold for each line within
`with log_context(...)`, also for those of libraries, and of tasks that begin there. No field and no
line names a recipient or says what is in a mail.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType

from app.settings import Settings

context: ContextVar[Mapping[str, str | float]] = ContextVar("context", default=MappingProxyType({}))
"""The fields of whatever is logged now."""


@contextmanager
def log_context(**fields: str | float) -> Iterator[None]:
    """Add fields to the lines that are logged within; empty ones are left out."""
    more = {name: value for name, value in fields.items() if value}
    token = context.set({**context.get(), **more})
    try:
        yield
    finally:
        context.reset(token)


def current_request_id() -> str:
    """Return the id of the request that is being handled, or "" outside of one."""
    return str(context.get().get("request_id", ""))


TEXT = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s%(fields)s")
"""For people."""


class JSONFormatter(logging.Formatter):
    """For machines. What a library attaches to a record stays out: it could be a mail."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line; an exception's traceback is a string in it."""
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage().strip(),
            **context.get(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def prepare(record: logging.LogRecord) -> bool:
    """Add the fields as text, and cut the query, which can be an address, off uvicorn's line."""
    record.fields = "".join(f"  {name}={value}" for name, value in context.get().items())
    if record.name == "uvicorn.access" and isinstance(record.args, tuple):
        client, method, path, *rest = record.args
        record.args = (client, method, str(path).partition("?")[0], *rest)
    return True


def configure_logging(settings: Settings) -> None:
    """Give all lines one form: ours and uvicorn's from INFO on, other libraries' from WARNING on.

    At INFO some libraries log what they were given, and so whom we write to. Call it after a server
    or a worker has set up a logging of its own.
    """
    handler = logging.StreamHandler()
    in_production = settings.fastapi_env == "production"
    handler.setFormatter(JSONFormatter() if in_production else TEXT)
    handler.addFilter(prepare)
    logging.basicConfig(handlers=[handler])
    logging.captureWarnings(True)
    logging.getLogger("app").setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.access"):
        server = logging.getLogger(name)
        if server.handlers:  # there is none where uvicorn was told not to log
            server.handlers.clear()
            server.propagate = True
