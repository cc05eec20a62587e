"""A bake's service, started and used as its README says."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from harness.bakery import UV, Baker, environment
from harness.brokers import Brokers
from harness.cells import BACKEND, EACH_BACKEND
from harness.ports import free_port
from harness.server import AUTHORIZED, recorder, running

DEV = (UV, "run", "--no-sync", "fastapi", "dev")
WORKER = (UV, "run", "--no-sync", "poe", "worker")


@EACH_BACKEND
def test_signup_reaches_poststack(backend: str, installed: Baker, tmp_path: Path) -> None:
    """`fastapi dev` finds the app, `/docs` opens, and curl's signup arrives as exactly this."""
    port = str(free_port())
    with recorder() as (poststack, received):
        settings = {
            "PORT": port,
            "POSTSTACK_API_KEY": "sk_test_1",
            "POSTSTACK_BASE_URL": poststack,
            "DATABASE_URL": f"sqlite:///{tmp_path}/users.sqlite3",
        }
        url = f"http://127.0.0.1:{port}"
        with running(installed(backend), DEV, f"{url}/healthz", **settings):
            assert "swagger" in httpx.get(f"{url}/docs").text.lower()
            signup = '{"email": "ada@example.com", "name": "Ada"}'
            answer = subprocess.run(
                ["curl", "--silent", "--show-error", f"{url}/signup", "--json", signup],
                capture_output=True,
                text=True,
                check=True,
            )

    assert answer.stdout == '{"email_id":"em_1"}'
    [mail] = received
    assert re.fullmatch(r"welcome:[0-9a-f-]{36}:[0-9a-f]{8}", mail.pop("idempotency_key"))
    assert "<h1>Welcome!</h1>" in mail.pop("html")
    assert mail.pop("text").startswith("Welcome!\n\nYour account at Acme Mail is ready.")
    assert mail == {
        "from": "hello@example.com",
        "to": ["ada@example.com"],
        "subject": "Welcome to Acme Mail",
        "tags": ["welcome"],
        "idempotency_window_hours": 72,
    }


@BACKEND
def test_refuses_to_start(backend: str, installed: Baker) -> None:
    """`fastapi run` without settings ends with one line per problem and no stack trace."""
    result = subprocess.run(
        [UV, "run", "--no-sync", "fastapi", "run", "--port", str(free_port())],
        cwd=installed(backend),
        env=environment(FASTAPI_ENV=""),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    output = result.stdout + result.stderr
    assert result.returncode == 1
    assert "The service cannot start:\n  SENDER_EMAIL is hello@example.com, a placehold" in output
    assert "\n  POSTSTACK_API_KEY is missing; create one in PostStack's dashboard\n" in output
    assert "Traceback" not in output


@pytest.fixture
def service(installed: Baker, tmp_path: Path) -> Iterator[str]:
    """A service in local development: no setting but a free port, and a database of its own."""
    port = str(free_port())
    url = f"http://127.0.0.1:{port}"
    settings = {"PORT": port, "DATABASE_URL": f"sqlite:///{tmp_path}/users.sqlite3"}
    with running(installed(), DEV, f"{url}/healthz", **settings) as log:
        assert f"Mailbox: {url}/sandbox/" in log.read_text()
        yield url


def test_sandbox(service: str) -> None:
    """Without an account a signup's mail is in the mailbox; the same signup is one mail."""
    for _ in range(2):
        answer = httpx.post(f"{service}/signup", json={"email": "ada@example.com", "name": "Ada"})
        assert answer.status_code == 201
    deadline = time.monotonic() + 5
    while (mails := httpx.get(f"{service}/sandbox/messages").json()["messages"]) == []:
        assert time.monotonic() < deadline

    [mail] = mails
    assert mail["subject"] == "Welcome to Acme Mail"
    assert httpx.get(f"{service}/sandbox/").status_code == 200


@BACKEND
def test_receipt(backend: str, installed: Baker, brokers: Brokers, tmp_path: Path) -> None:
    """With every queue, a receipt arrives in the mailbox, complete, and its status says so."""
    port = str(free_port())
    url = f"http://127.0.0.1:{port}"
    project = installed(backend)
    order = {
        "order_id": "1001",
        "recipient": "ada@example.com",
        "lines": [{"description": "Tea", "amount": "7.50"}],
        "total": "7.50",
    }
    settings = brokers(backend).settings() | {
        "PORT": port,
        "DATABASE_URL": f"sqlite:///{tmp_path}/service.sqlite3",
    }
    with ExitStack() as stack:
        logs = [stack.enter_context(running(project, DEV, f"{url}/healthz", **settings))]
        if backend != "none":
            logs.append(stack.enter_context(running(project, WORKER, None, **settings)))
        answer = httpx.post(f"{url}/receipts", json=order, headers=AUTHORIZED)
        assert answer.status_code == 202
        deadline = time.monotonic() + 20
        status = f"{url}{answer.headers['location']}"
        while httpx.get(status, headers=AUTHORIZED).json()["status"] != "delivered":
            assert time.monotonic() < deadline, "\n".join(log.read_text() for log in logs)
            time.sleep(0.05)
        [mail] = httpx.get(f"{url}/sandbox/messages").json()["messages"]

    assert mail["to"] == ["ada@example.com"]
    assert "Total: 7.50 EUR" in mail["body"]["text"]
    assert "7.50 EUR" in mail["body"]["html"]
