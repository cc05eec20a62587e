"""Run the sandbox alone: `python -m sandbox`."""

import argparse
from pathlib import Path

import uvicorn

from sandbox.main import create_sandbox


def main() -> None:
    """Serve on localhost until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8025)
    parser.add_argument("--database", type=Path, help="keep the messages in this SQLite file")
    parser.add_argument("--api-key", default="sk_test_sandbox")
    parser.add_argument("--webhook-url", help="send webhooks there")
    parser.add_argument("--webhook-secret", help="sign them with this")
    options = parser.parse_args()

    sandbox = create_sandbox(
        database=options.database,
        api_key=options.api_key,
        webhook_url=options.webhook_url,
        webhook_secret=options.webhook_secret,
    )

    print(f"Mailbox: http://localhost:{options.port}/", flush=True)  # noqa: T201  for a person to click
    uvicorn.run(sandbox, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
