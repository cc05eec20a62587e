"""The image, as far as it goes without Docker: linted, and its steps executed one by one."""

import json
import re
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from benchmarks.chaos import RABBITMQ_ARGUMENTS
from tests.bakery import UV, run
from tests.conftest import BACKEND, Baker
from tests.server import AUTHORIZED, free_port, recorder, running
from tests.test_gates import PRODUCTION

SCRIPTS = Path(sys.executable).parent


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


def compose(project: Path) -> dict[str, dict[str, Any]]:
    """Read the services of a bake's compose file, with what they share filled in."""
    services: dict[str, dict[str, Any]] = yaml.safe_load((project / "compose.yaml").read_text())[
        "services"
    ]
    return services


def shell(check: list[str]) -> list[str]:
    """Return the command that Docker makes of a health check."""
    kind, *words = check
    words = [word.replace("$$", "$") for word in words]
    return ["sh", "-c", *words] if kind == "CMD-SHELL" else words


def seconds(duration: str) -> float:
    """Read a duration as this project's compose files write it."""
    return float(duration.removesuffix("s"))


@BACKEND
def test_compose_survives(backend: str, baked: Baker) -> None:
    """Everything comes back after a crash, waits for what it needs, and is asked how it is."""
    services = compose(baked("cookiecutter", backend))
    assert (
        set(services)
        == {
            "none": {"api"},
            "arq": {"api", "worker", "redis"},
            "celery": {"api", "worker", "rabbitmq"},
        }[backend]
    )
    for name, service in services.items():
        assert service["restart"] == "unless-stopped", name
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
        for needed, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}, (name, needed)
            assert services[needed]["healthcheck"], needed
    if "worker" in services:
        assert services["worker"]["healthcheck"] != services["api"]["healthcheck"]
    for broker in set(services) - {"api", "worker"}:
        assert broker in services["api"]["depends_on"]
        assert broker in services["worker"]["depends_on"]
        assert services[broker]["volumes"], "without a volume a new container begins with nothing"
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
    """What the compose file takes from `.env`, the example of it names."""
    project = baked("cookiecutter", backend)
    taken = set(re.findall(r"\$\{(\w+)", (project / "compose.yaml").read_text()))
    example = (project / ".env.example").read_text()

    assert bool(taken) == (backend == "celery")
    assert taken <= set(re.findall(r"^(?:# )?(\w+)=", example, re.MULTILINE))


@BACKEND
def test_compose_keeps_to_itself(backend: str, baked: Baker) -> None:
    """No port is open to a network, whatever the password behind it; secrets come from `.env`."""
    for name, service in compose(baked("cookiecutter", backend)).items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), (name, port)
        if name in ("api", "worker"):
            assert service["env_file"] == ".env"


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Read a Dockerfile as pairs such as `("USER", "10001")`, in the order of its stages."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE).replace("\\\n", "")
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if line)
    return [(name, argument) for name, argument in pairs]


def final_stage(dockerfile: Path) -> dict[str, str]:
    """Return the instructions of the image itself; of those that occur twice, the last."""
    found = instructions(dockerfile)
    names = [name for name, _ in found]
    assert names.count("FROM") == 2, "one stage builds, the other runs"
    return dict(found[len(names) - names[::-1].index("FROM") - 1 :])


@BACKEND
def test_runtime(backend: str, baked: Baker) -> None:
    """The image runs as nobody in particular, and stops in the time that it is given."""
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
    [deadline] = re.findall(
        r"^DEADLINE = ([\d.]+)", (project / "app/delivery.py").read_text(), re.M
    )
    services = compose(project)
    assert float(deadline) < graceful < seconds(services["api"]["stop_grace_period"])
    if "worker" in services:
        assert float(deadline) < seconds(services["worker"]["stop_grace_period"])


def build(project: Path, folder: Path, *options: str) -> Path:
    """Make a folder with what the image has in its own: the Dockerfile's steps, done by hand."""
    found = instructions(project / "Dockerfile")
    allowed = re.findall("^!(.+)$", (project / ".dockerignore").read_text(), re.MULTILINE)
    copied = [argument.split()[:-1] for name, argument in found if name == "COPY"]
    assert copied == [
        ["pyproject.toml", "uv.lock"],
        ["--from=build", "/service/.venv"],
        ["pyproject.toml"],
        ["app"],
    ]
    assert set(allowed) == {"app", "pyproject.toml", "uv.lock"}
    [sync] = [argument for name, argument in found if name == "RUN" and "uv sync" in argument]

    folder.mkdir()
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(project / name, folder)
    run(UV, *sync.split()[1:], "--quiet", *options, cwd=folder)
    (folder / "uv.lock").unlink()
    shutil.copytree(project / "app", folder / "app")
    return folder


@pytest.fixture(scope="module")
def image(installed: Baker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image of a service without a queue."""
    return build(installed(), tmp_path_factory.mktemp("image") / "service")


def command(project: Path, port: int) -> list[str]:
    """Return the image's command, on a port of ours."""
    first, *rest = json.loads(final_stage(project / "Dockerfile")["CMD"])
    rest[rest.index("--host") + 1] = "127.0.0.1"
    rest[rest.index("--port") + 1] = str(port)
    return [f".venv/bin/{first}", *rest]


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
    assert [line["logger"] for line in about] == ["app.delivery", "uvicorn.access"]
    assert about[0]["idempotency_key"].startswith("welcome:")
    assert about[1]["message"].startswith("203.0.113.9:")
    assert about[1]["message"].endswith('"POST /signup HTTP/1.1" 503')


def test_stop(image: Path, installed: Baker) -> None:
    """Mail that is being sent in the background when Docker stops the service is sent."""
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
