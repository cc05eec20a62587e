"""What only local development has: the sandbox in PostStack's place, at the server's address."""

import logging
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from ipaddress import ip_address

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.mail.previews import previews
from app.settings import Settings

logger = logging.getLogger(__name__)


def server_options(arguments: Sequence[str]) -> dict[str, str]:
    """Find `--host` and `--port`, which `fastapi dev` and uvicorn hand on in `sys.argv` alone."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--host", dest="bind_host", default=SUPPRESS)
    parser.add_argument("--port", default=SUPPRESS)
    options, _ = parser.parse_known_args(arguments)
    return vars(options)


class LocalHosts:
    """ASGI middleware that refuses requests to names which somebody's DNS may have chosen.

    A foreign page whose name leads to this machine would otherwise read the mailbox.
    """

    def __init__(self, app: ASGIApp, bind_host: str) -> None:
        self._app = app
        self._bind_host = bind_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        answers = self._app
        if scope["type"] == "http":
            name = Request(scope).url.hostname or ""
            if name != self._bind_host and not is_local(name):
                answers = PlainTextResponse("Unknown host. Use localhost or an IP address.", 421)
        await answers(scope, receive, send)


def is_local(name: str) -> bool:
    """Tell whether no public DNS has this name: an IP address, or one without a dot."""
    with suppress(ValueError):
        ip_address(name)
        return True
    return "." not in name or name.endswith(".localhost")


def mount_sandbox(app: FastAPI, settings: Settings) -> None:
    """Serve the sandbox below `/sandbox`."""
    # By name: production has no sandbox to import, neither in its image nor in its code.
    main = import_module("sandbox.main")
    sandbox = main.create_sandbox(
        database=settings.data_folder / "sandbox.sqlite3",
        webhook_url=f"{settings.server_url}/webhooks/poststack",
        webhook_secret=settings.poststack_webhook_secret.get_secret_value(),
        previews=partial(previews, settings),
    )
    # The outermost, so that the service's other middleware does not see the sandbox's requests.
    app.add_middleware(main.SandboxMiddleware, path="/sandbox", sandbox=sandbox)
    app.add_middleware(LocalHosts, bind_host=settings.bind_host)
    logger.info("Mailbox: %s/", settings.sandbox_url)
