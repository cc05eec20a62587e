"""What only local development has: the sandbox in PostStack's place, at the server's address."""

import logging
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Sequence
from functools import partial
from importlib import import_module

from fastapi import FastAPI

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
    logger.info("Mailbox: %s/", settings.sandbox_url)
