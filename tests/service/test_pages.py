"""Every command on a service's own pages works as it is written."""

import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import httpx

from harness.bakery import PATH, Baker, run, tree
from harness.brokers import Brokers
from harness.cells import EACH_TREE, Cell
from harness.pages import commands
from harness.ports import free_port
from harness.server import running

WORKER = "uv run poe worker"
ELSEWHERE = {
    "uv run poe check": "test_check.test_check",
    "uv run pytest tests/test_invitations.py": "test_docs.test_add_an_email",
    "uv sync": "tests.conftest.installed",
    "uvx copier update": "test_update",
    "uvx pre-commit install": "test_workflows.test_hooks",
    WORKER: "test_service.test_receipt",
}
"""The commands of a bake's pages that other tests run."""
FOLLOWED = "docs/make-it-yours.md"
"""A page whose commands `test_docs.test_examples_go` runs in their order."""


@EACH_TREE
def test_commands(
    backend: str, answers: str, installed: Baker, brokers: Brokers, tmp_path: Path
) -> None:
    """In a bake, every command of its pages does what the page says, here or in another test."""
    project = installed(*Cell(backend, answers=answers))
    pages = {*project.glob("*.md"), *project.glob("docs/*.md")} - {project / FOLLOWED}
    left = {command for page in pages for command in commands(page)}
    assert ELSEWHERE.keys() & left == ELSEWHERE.keys() - ({WORKER} if backend == "none" else set())
    left -= ELSEWHERE.keys()
    tables = {command for command in left if command.startswith("uv run alembic revision ")}
    assert len(tables) == 2  # test_docs.test_add_a_table
    left -= tables
    port = str(free_port())
    url = f"http://127.0.0.1:{port}"

    def take(pattern: str) -> str:
        """Cross off the command that begins so, and return it with our address."""
        [command] = [command for command in left if re.match(pattern, command)]
        left.remove(command)
        return re.sub(r"http://127\.0\.0\.1:8000|https://mail\.example\.com", url, command)

    def shell(command: str, **settings: str) -> str:
        return run("sh", "-c", command, cwd=project, PATH=PATH, **settings)

    migrated = tmp_path / "migrated.sqlite3"
    shell(take("uv run poe migrate"), DATABASE_URL=f"sqlite:///{migrated}")
    with closing(sqlite3.connect(migrated)) as database:
        assert database.execute("SELECT * FROM alembic_version").fetchall()

    before = tree(project)
    shell(take("uv run poe fix"))
    assert tree(project) == before

    dev = take("uv run fastapi dev")
    assert "http://127.0.0.1:8000/sandbox/" in (project / "README.md").read_text()
    settings = brokers(backend).settings() | {"PORT": port}
    with running(project, ["sh", "-c", dev], f"{url}/healthz", PATH=PATH, **settings):
        signup = {"email": "ada@example.com", "name": "Ada"}
        email_id = httpx.post(f"{url}/signup", json=signup).json()["email_id"]
        assert shell(take("curl .*/readyz")) == '{"status":"ready"}'
        assert shell(take("curl .*/webhooks/poststack")) == "401"
        for name, said in (
            ("add", "Suppressed."),
            ("list", "  manual  ada@example.com"),
            ("remove", "Gets mail again."),
            ("sync", "PostStack suppresses 0 addresses, of which 0 are new here."),
        ):
            answered = shell(take(f"uv run poe suppressions {name}"), **settings)
            assert answered.rstrip("\n").endswith(said)
        status = take("curl .*/emails/em_1").replace("em_1", email_id)
        deadline = time.monotonic() + 10
        while '"status":"delivered"' not in shell(status, API_KEY="key_for_development"):
            assert time.monotonic() < deadline
        assert shell(take("uv run poe purge")).startswith("Deleted 0 emails and 0 events")
    if backend != "none":
        assert shell(take("uv run poe failed"), **settings).endswith("0 failed\n")
        assert "0 " in shell(take("uv run poe requeue"), **settings)
    assert left <= {"uvx copier update --data queue_backend=arq"}  # see `test_update`
