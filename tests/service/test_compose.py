"""The image and `compose.yaml` on a Docker engine: used, killed, stopped and started again."""

import json
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from harness.bakery import REPOSITORY, UV, Baker, bake, run
from harness.cells import BACKEND
from harness.docker import Compose, docker, image, missing
from harness.ports import free_ports
from harness.processes import until
from harness.server import PRODUCTION

DATABASES = ("postgresql", "sqlite")
SENT = "accepted by PostStack"
"""What is logged about a mail that PostStack has."""
GRACE = 25
"""Seconds that no stop may take: compose.yaml kills after 30."""

pytestmark = pytest.mark.matrix


@pytest.fixture(autouse=True, scope="module")
def _engine() -> None:
    """Skip all of it where containers cannot run."""
    if why := missing():
        pytest.skip(why)


SERVICE = """
    build: {network: host}
    read_only: true
    tmpfs: [/tmp]
    volumes: ["./tls/poststack.pem:/run/poststack.pem:ro"]
    environment: {SSL_CERT_FILE: /run/poststack.pem, REDELIVERY_SECONDS: 6}
    depends_on: {poststack: {condition: service_healthy}}
    healthcheck: {interval: 2s}
"""
SERVICE_ON_SQLITE = """
    volumes: ["data:/service/data"]
    environment: {DATABASE_URL: ""}
    depends_on: {migrate: !reset null, postgres: !reset null}
"""
POSTSTACK = f"""
    build: {{context: ., network: host}}
    user: root
    command: [uvicorn, "held_sandbox:app", --host, 0.0.0.0, --port, "443", --ssl-certfile,
      /run/tls/poststack.pem, --ssl-keyfile, /run/tls/poststack.key, --timeout-graceful-shutdown,
      "1"]
    environment: {{POSTSTACK_API_KEY: {PRODUCTION["POSTSTACK_API_KEY"]}}}
    volumes:
      - ./tls:/run/tls:ro
      - ./sandbox:/service/sandbox:ro
      - {REPOSITORY}/harness/held_sandbox.py:/service/held_sandbox.py:ro
      - poststack:/poststack
    healthcheck:
      test: ["CMD", "python", "-c", "import socket; socket.create_connection(('127.0.0.1', 443))"]
      interval: 2s
"""


def overrides(backend: str, database: str, port: int, poststack: int) -> list[str]:
    """Write what a test has otherwise: ports of its own, a PostStack, and no disk to write to.

    A build has the host's network, for machines where no other reaches a package index.
    """
    services = ["api"] if backend == "none" else ["api", "worker"]
    stores = {"none": ["postgres"], "arq": ["postgres", "redis"]}
    first = [
        "volumes: {poststack: , data: }",
        "services:",
        *(f"  {name}:{SERVICE}" for name in services),
        "  migrate: {build: {network: host}}",
        f"  poststack:{POSTSTACK}",
        f'    ports: ["127.0.0.1:{poststack}:443"]',
        *(
            f"  {name}: {{ports: !reset [], healthcheck: {{interval: 2s}}}}"
            for name in stores.get(backend, ["postgres", "rabbitmq"])
        ),
    ]
    second = ["services:", f'  api: {{ports: !override ["127.0.0.1:{port}:8000"]}}']
    third = ["services:", "  migrate: !reset null", "  postgres: !reset null"]
    third += [f"  {name}:{SERVICE_ON_SQLITE}" for name in services]
    files = [first, second, third] if database == "sqlite" else [first, second]
    return ["\n".join(lines) for lines in files]


def certify(folder: Path) -> Path:
    """Make a certificate for the test's PostStack, which production speaks to by TLS alone."""
    folder.mkdir()
    names = "subjectAltName=DNS:poststack,IP:127.0.0.1"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=poststack", "-addext", names]
    command += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    command += ["-out", "poststack.pem", "-keyout", "poststack.key"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def settings(backend: str) -> str:
    """Write the `.env` that `.env.example` and the pages ask for."""
    chosen = PRODUCTION | {"POSTSTACK_BASE_URL": "https://poststack", "POSTGRES_PASSWORD": "a1b2c3"}
    if backend == "celery":
        chosen |= {"RABBITMQ_USER": "mail", "RABBITMQ_PASSWORD": "d4e5f6"}
    return "".join(f"{name}={value}\n" for name, value in chosen.items())


class Deployment:
    """A service in containers, its callers, and the PostStack that it sends to."""

    def __init__(self, project: Path, backend: str, database: str) -> None:
        """Choose ports and a name, and write the files; nothing is started."""
        self.project = project
        self.worker = "api" if backend == "none" else "worker"
        port, poststack = free_ports(2)
        tls = certify(project / "tls")
        written = overrides(backend, database, port, poststack)
        self.compose = Compose(project, f"test-{uuid4().hex[:8]}", written)
        keys = {"Authorization": f"Bearer {PRODUCTION['API_KEYS']}"}
        self.api = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=keys, timeout=30)
        trusted = ssl.create_default_context(cafile=tls / "poststack.pem")
        self.poststack = httpx.Client(base_url=f"https://127.0.0.1:{poststack}", verify=trusted)
        self._orders = count(1)
        self.keys: list[str] = []

    def order(self) -> str:
        """Have a receipt sent; return its idempotency key once the service has taken it."""
        number = str(next(self._orders))
        order = {
            "order_id": number,
            "recipient": "ada@example.com",
            "lines": [{"description": "Tea", "amount": "7.50"}],
            "total": "7.50",
        }
        answer = self.api.post("/receipts", json=order)
        assert answer.status_code == 202, answer.text
        self.keys.append(answer.json()["idempotency_key"])
        return self.keys[-1]

    def mails(self) -> dict[str, int]:
        """Return the mails that PostStack has, and how often each was repeated."""
        found = self.poststack.get("/messages").raise_for_status().json()["messages"]
        return {mail["body"]["idempotency_key"]: mail["repeats"] for mail in found}

    def expect_all(self) -> None:
        """Wait until PostStack has each mail that the service has taken, and no other."""
        until(lambda: self.mails().keys() == set(self.keys), f"{self.keys} at PostStack")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let PostStack accept mail without an answer until the block ends."""
        self.compose("exec", "poststack", "touch", "/poststack/hold")
        yield
        self.compose("exec", "poststack", "rm", "/poststack/hold")

    def logged(self, key: str) -> list[str]:
        """Return what the worker has logged about a mail; a line that is no JSON fails."""
        lines = [json.loads(line) for line in self.compose.logs(self.worker)]
        return [line["message"] for line in lines if line.get("idempotency_key") == key]


@contextmanager
def deployed(baked: Baker, backend: str, database: str, folder: Path) -> Iterator[Deployment]:
    """Prepare a deployment of a bake of its own, and remove all that came of it."""
    project = shutil.copytree(baked("cookiecutter", backend), folder / "acme-mail")
    run(UV, "lock", "--quiet", cwd=project)
    (project / ".env").write_text("")
    deployment = Deployment(project, backend, database)
    try:
        with deployment.api, deployment.poststack:
            yield deployment
    finally:
        deployment.compose.remove()


@pytest.mark.parametrize("database", DATABASES)
@BACKEND
def test_life(
    backend: str,
    database: str,
    baked: Baker,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """From an empty `.env` to a service whose workers are killed, and that loses nothing."""
    began = time.monotonic()

    def passed(what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {what}")
        record_property(what, f"{time.monotonic() - began:.0f} s")

    with deployed(baked, backend, database, tmp_path) as service:
        compose = service.compose
        compose("build")
        passed("built")

        compose("up", "--detach", "--no-deps", "--no-build", "api")
        until(lambda: "POSTSTACK_API_KEY" in "".join(compose.logs("api")), "the refusal")
        refusal = next(line for line in compose.logs("api") if "POSTSTACK_API_KEY" in line)
        assert "Traceback" not in "".join(compose.logs("api"))
        compose("down", "--timeout", "1")
        passed(f"refuses to start: {refusal}")

        (service.project / ".env").write_text(settings(backend))
        compose.up()
        assert service.api.get("/readyz").json() == {"status": "ready"}
        passed("up, healthy and ready")

        key = service.order()
        service.expect_all()
        until(lambda: any(line.startswith(SENT) for line in service.logged(key)), "the log")
        passed("a receipt has arrived, and the worker has logged it")

        if backend != "none":
            kill_and_scale(service, passed)

        seconds = stop_while_sending(service)
        assert seconds < GRACE
        passed(f"down in {seconds:.1f} s, while mail was being sent")

        compose.up()
        service.expect_all()
        status = service.api.get("/emails/" + key)
        assert status.json()["status"] in ("accepted", "sent", "delivered"), status.text
        assert compose("ps", "--status", "restarting", "--quiet") == ""
        passed(f"up again: {len(service.keys)} of {len(service.keys)} mails, each once")
        for store in ("redis", "rabbitmq"):
            if store == {"arq": "redis", "celery": "rabbitmq"}.get(backend):
                warnings = [line for line in compose.logs(store) if "deprecated" in line.lower()]
                assert warnings == []


def kill_and_scale(service: Deployment, passed: Callable[[str], None]) -> None:
    """Kill the worker while it sends, and go on with two."""
    compose = service.compose
    with service.held():
        key = service.order()
        until(lambda: key in service.mails(), "the mail that is being sent")
        compose("kill", "--signal", "SIGKILL", "worker")
        assert compose.containers("worker") == []
    compose.up("--scale", "worker=2")
    until(lambda: service.mails()[key], "the killed worker's mail, sent again", 90)
    service.expect_all()
    passed("killed in mid-send; its mail is sent again, and has arrived once")

    health = [container["Health"] for container in compose.containers("worker")]
    assert health == ["healthy", "healthy"]
    for _ in range(20):
        service.order()
    service.expect_all()
    passed("two workers, 20 mails")


def stop_while_sending(service: Deployment) -> float:
    """Take all containers down while mail is being sent; return how many seconds that took."""
    with ThreadPoolExecutor(5) as callers:
        with service.held():
            had = len(service.mails())
            orders = [callers.submit(service.order) for _ in range(4)]
            until(lambda: len(service.mails()) > had, "mail that is being sent")
            if service.worker != "api":
                [order.result() for order in orders]
            start = time.monotonic()
            down = callers.submit(service.compose, "down")
            time.sleep(1)  # so that SIGTERM comes while PostStack holds its answers back
        down.result()
        [order.result() for order in orders]
    return time.monotonic() - start


@BACKEND
def test_image(
    backend: str, template: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Made under umask 077 its app is found, and there are no tools, tests or sandbox in it.

    A change in `app/` makes the last layers anew, and not the packages.
    """
    before = os.umask(0o077)
    try:
        project = bake("cookiecutter", template, tmp_path, {"queue_backend": backend})
        run(UV, "lock", "--quiet", cwd=project)
    finally:
        os.umask(before)
    tag = f"test-{uuid4().hex[:8]}"
    build = ("build", "--network", "host", "--tag", tag, ".")
    chosen = dict(line.split("=") for line in settings(backend).splitlines())
    chosen["BROKER_URL"] = "amqp://mail:secret@127.0.0.1:1//"  # nobody listens there
    chosen["REDIS_URL"] = "redis://127.0.0.1:1/0"
    environment = [f"--env={name}={value}" for name, value in chosen.items()]
    run_it = (
        "run",
        "--rm",
        "--read-only",
        "--tmpfs",
        "/tmp",  # noqa: S108  in the container
        "--volume",
        "/service/data",
        *environment,
        tag,
    )
    try:
        docker(*build, cwd=project)
        first = image(tag)
        said = docker(
            *run_it, "sh", "-c", "ls; command -v cc gcc uv; id -u; python -c 'import app.main'"
        )
        assert said.split() == ["app", "data", "migrations", "pyproject.toml", "10001"]
        base = image("python:3.14-slim")["Size"]
        megabytes = (first["Size"] - base) / 1_000_000
        print(f"{backend}: {megabytes:.0f} MB above python:3.14-slim")
        record_property("size", f"{megabytes:.0f} MB")

        with (project / "app/text.py").open("a") as changed:
            changed.write("\n")
        docker("image", "tag", tag, f"{tag}:first")  # or it would be left without a name
        docker(*build, cwd=project)
        layers = [found["RootFS"]["Layers"] for found in (first, image(tag))]
        same = [old == new for old, new in zip(*layers, strict=True)]
        assert same[:-3] == [True] * (len(same) - 3)
        assert not same[-3]
    finally:
        docker("image", "rm", "--force", tag, f"{tag}:first")
