"""The image, as far as it goes without Docker: linted, and its steps executed one by one."""

import json
import re
import threading
from pathlib import Path

import httpx
import pytest

from harness.bakery import SCRIPTS, Baker, run
from harness.brokers import RABBITMQ_ARGUMENTS
from harness.cells import BACKEND
from harness.container import build, command, compose, final_stage, shell
from harness.ports import free_port
from harness.server import AUTHORIZED, PRODUCTION, recorder, running

SENDER, SENDER_LOGGER = "app/mail/sender.py", "app.mail.sender"
DEADLINE = r"^SEND_TIMEOUT = ([\d.]+)"
"""How long a mail may take, in seconds, in the code of the sender."""


@BACKEND
def test_compose(backend: str, baked: Baker) -> None:
    """The compose file fits the Compose specification."""
    schema = "--builtin-schema=vendor.compose-spec"
    run(
        str(SCRIPTS / "check-jsonschema"),
        schema,
        "compose.yaml",
        cwd=baked("cookiecutter", backend),
    )


def seconds(duration: str) -> float:
    """Read a duration as this project's compose files write it."""
    return float(duration.removesuffix("s"))


@BACKEND
def test_compose_survives(backend: str, baked: Baker) -> None:
    """Every container restarts after a crash, waits for what it needs, and has a health check."""
    services = compose(baked("cookiecutter", backend))
    assert (
        set(services)
        == {
            "none": {"api", "migrate", "postgres"},
            "arq": {"api", "worker", "migrate", "postgres", "redis"},
            "celery": {"api", "worker", "migrate", "postgres", "rabbitmq"},
        }[backend]
    )
    migrate = services.pop("migrate")
    assert migrate["command"] == ["alembic", "upgrade", "heads"]
    assert migrate["restart"] == "no"
    assert migrate["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in services.keys() & {"api", "worker"}:
        assert "migrate" in services[name]["depends_on"]
        assert services[name]["environment"]["DATABASE_URL"].startswith("postgresql://mail:")
    assert migrate["environment"] == services["api"]["environment"]
    for name, service in services.items():
        assert service["restart"] == "unless-stopped", name
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
        for needed, condition in service.get("depends_on", {}).items():
            if needed == "migrate":
                assert condition == {"condition": "service_completed_successfully"}, name
                continue
            assert condition == {"condition": "service_healthy"}, (name, needed)
            assert services[needed]["healthcheck"], needed
    if "worker" in services:
        assert services["worker"]["healthcheck"] != services["api"]["healthcheck"]
    for store in set(services) - {"api", "worker"}:
        assert store in services["api"]["depends_on"]
        assert store in services.get("worker", services["api"])["depends_on"]
        assert services[store]["volumes"], "without a volume a new container begins with nothing"
    if backend == "arq":
        command = " ".join(services["redis"]["command"])
        assert "--appendonly yes" in command
        assert "--maxmemory-policy noeviction" in command
    if backend == "celery":
        environment = services["rabbitmq"]["environment"]
        assert environment["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] == RABBITMQ_ARGUMENTS
        # Of the API it would make one of several processes, and end it where the folder is not.
        counters = services["worker"]["environment"].pop("PROMETHEUS_MULTIPROC_DIR")
        assert counters in services["worker"]["tmpfs"]
        assert services["worker"]["environment"] == services["api"]["environment"]
        [check] = shell(services["worker"]["healthcheck"]["test"])[2:]
        assert check.startswith("env -u PROMETHEUS_MULTIPROC_DIR ")


@BACKEND
def test_compose_variables(backend: str, baked: Baker) -> None:
    """`.env.example` names what the compose file takes from `.env`."""
    project = baked("cookiecutter", backend)
    taken = set(re.findall(r"\$\{(\w+)", (project / "compose.yaml").read_text()))
    example = (project / ".env.example").read_text()

    assert ("RABBITMQ_PASSWORD" in taken) == (backend == "celery")
    assert "POSTGRES_PASSWORD" in taken
    assert taken <= set(re.findall(r"^(?:# )?(\w+)=", example, re.MULTILINE))


@BACKEND
def test_compose_keeps_to_itself(backend: str, baked: Baker) -> None:
    """No port is open to a network, whatever the password behind it; secrets come from `.env`."""
    for name, service in compose(baked("cookiecutter", backend)).items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), (name, port)
        if name in ("api", "worker", "migrate"):
            assert service["env_file"] == ".env"


@BACKEND
def test_runtime(backend: str, baked: Baker) -> None:
    """The image runs without privileges, and stops within its grace period."""
    project = baked("cookiecutter", backend)
    stage = final_stage(project / "Dockerfile")

    assert re.fullmatch(r"python:3\.\d+-slim", stage["FROM"])
    assert stage["USER"] == "10001:10001"
    assert stage["STOPSIGNAL"] == "SIGTERM"
    # Workers run from this image, too, and are asked otherwise.
    assert "HEALTHCHECK" not in stage
    assert "uv" not in stage["RUN"].split()
    command = json.loads(stage["CMD"])
    graceful = float(command[command.index("--timeout-graceful-shutdown") + 1])
    [deadline] = re.findall(DEADLINE, (project / SENDER).read_text(), re.MULTILINE)
    services = compose(project)
    assert float(deadline) < graceful < seconds(services["api"]["stop_grace_period"])
    if "worker" in services:
        assert float(deadline) < seconds(services["worker"]["stop_grace_period"])


@pytest.fixture(scope="module")
def image(installed: Baker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image of a service without a queue."""
    return build(installed(), tmp_path_factory.mktemp("image") / "service")


def test_image(image: Path, installed: Baker) -> None:
    """It starts in production, without a sandbox, tests or tools, and logs nothing but JSON."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    packages = {path.name for path in image.glob(".venv/lib/*/site-packages/*")}
    assert "fastapi" in packages
    assert not packages & {"pytest", "mypy", "ruff", "respx", "uv", "pip", "sandbox"}
    settings = PRODUCTION | {
        "POSTSTACK_BASE_URL": f"https://127.0.0.1:{free_port()}",  # nobody listens there
        "FORWARDED_ALLOW_IPS": "127.0.0.0/8",
    }

    with running(image, command(installed(), port), f"{url}/healthz", **settings) as log:
        assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
        assert httpx.get(f"{url}/readyz?who=ada@example.com").json() == {"status": "ready"}
        assert "sandbox" not in httpx.get(f"{url}/").raise_for_status().text
        for path in ("/sandbox", "/sandbox/", "/sandbox/messages", "/sandbox/emails"):
            assert httpx.get(url + path).status_code == 404
        assert httpx.post(f"{url}/webhooks/poststack", json={}).status_code == 401
        signup = {"email": "ada@example.com", "name": "Ada"}
        proxied = {"X-Request-ID": "r", "X-Forwarded-For": "203.0.113.9"}
        answer = httpx.post(f"{url}/signup", json=signup, headers=proxied, timeout=30)
        assert answer.status_code == 503

    assert "ada@example.com" not in log.read_text()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines[0]["message"].startswith("Started server process")
    assert lines[-1]["message"].startswith("Finished server process")
    about = [line for line in lines if line.get("request_id") == "r"]
    assert [line["logger"] for line in about] == [SENDER_LOGGER, "uvicorn.access"]
    assert about[0]["idempotency_key"].startswith("welcome:")
    assert about[1]["message"].startswith("203.0.113.9:")
    assert about[1]["message"].endswith('"POST /signup HTTP/1.1" 503')


def test_stop(image: Path, installed: Baker) -> None:
    """Docker stops the service only after the mail that is being sent in the background."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    answering = threading.Event()
    with recorder(answering) as (poststack, received):
        settings = {
            "FASTAPI_ENV": "development",
            "POSTSTACK_API_KEY": "sk_test_1",
            "POSTSTACK_BASE_URL": poststack,
        }
        signup = {"email": "ada@example.com", "name": "Ada"}
        with (
            httpx.Client(headers=AUTHORIZED) as client,
            running(image, command(installed(), port), f"{url}/healthz", **settings) as log,
        ):
            answers = [client.post(f"{url}/notify", json=signup) for _ in range(10)]
            assert received == []
            # SIGTERM comes at once, and finds the client still connected.
            threading.Timer(1, answering.set).start()

    accepted = {answer.json()["idempotency_key"] for answer in answers}
    assert len(accepted) == 10
    assert {mail["idempotency_key"] for mail in received} == accepted
    assert "Application shutdown complete" in log.read_text()
