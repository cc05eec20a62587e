"""Real servers on free ports: a recording PostStack, and a bake's service."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from harness.bakery import environment
from harness.ports import free_port

AUTHORIZED = {"Authorization": "Bearer key_for_development"}
"""What local development takes as an API key."""

PRODUCTION = {
    "FASTAPI_ENV": "production",
    "SENDER_EMAIL": "hello@acme.dev",
    "POSTSTACK_API_KEY": "sk_live_1",
    "POSTSTACK_WEBHOOK_SECRET": "whsec_8ff2c4a1d09b4e5fb67d3c1a",
    "API_KEYS": "0b2c97de41f84a6c9d55e8a3f1c7aa01",
}
"""The least that production starts with."""


@contextmanager
def recorder(
    answering: threading.Event | None = None,
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve a PostStack that accepts everything; yield its address and what it has accepted.

    It lets all wait until `answering` is set.
    """
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            mail = json.loads(self.rfile.read(length))
            if answering:
                answering.wait(30)
            received.append(mail)
            body = json.dumps({"id": f"em_{len(received)}"}).encode()
            self.send_response(202)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: the tests read what was received."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()


@contextmanager
def running(project: Path, command: Sequence[str], url: str | None, **extra: str) -> Iterator[Path]:
    """Run a command of a bake, and stop it afterwards; yield its log once `url` answers, if any."""
    log = project / "data" / f"{free_port()}.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=project,
            env=environment(PYTHONUNBUFFERED="1") | extra,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 30
        while url:
            try:
                httpx.get(url, timeout=5)
                break
            except httpx.TransportError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command} does not answer\n{log.read_text()}") from None
                time.sleep(0.1)
        yield log
    finally:
        # The reloader of `fastapi dev` is a parent of the server, and a shell or uv may be its own:
        # end all, and see that they end. uvicorn's reloader can hang when both get the signal.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                process.poll()  # a dead leader is a member of its group until somebody asks
                os.killpg(process.pid, 0)
                time.sleep(0.02)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
