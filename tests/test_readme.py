"""Every command in a README works as it is written."""

import json
import os
import re
import sys
import time
from pathlib import Path

from tests.bakery import REPOSITORY, UV, copy_template, run, tree
from tests.cells import EACH_TREE, Cell
from tests.conftest import Baker, Brokers
from tests.newcomer import CLEAR_LINE, Terminal, play
from tests.server import free_port, running
from tests.test_update import NEW, NOBODY, OLD, commit, plant

WORKER = "uv run poe worker"
ELSEWHERE = {
    "uv run poe check": "test_cells.test_check",
    "uv run pytest tests/test_password_resets.py": "test_docs.test_add_an_email",
    "uv sync": "tests.conftest.installed",
    "uvx copier update": "test_update",
    "uvx pre-commit install": "test_workflows.test_hooks",
    WORKER: "test_service.test_receipt",
}
"""The commands of a bake's pages that other tests run."""


def commands(readme: Path) -> list[str]:
    """List the commands of the console blocks, in their order."""
    blocks = re.findall(r"^```console\n(.*?)^```", readme.read_text(), re.DOTALL | re.MULTILINE)
    return [line[2:] for block in blocks for line in block.splitlines() if line[:2] == "$ "]


def bare(home: Path) -> dict[str, str]:
    """Return the environment of a fresh machine: Python and the system's programs, no uv.

    What was downloaded once is not downloaded again.
    """
    home.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("SSL_CERT_FILE",) if name in os.environ}
    path = f"{Path(sys.base_prefix, 'bin')}:/usr/local/bin:/usr/bin:/bin"
    cache = run(UV, "cache", "dir", cwd=home).strip()
    folders = {"HOME": str(home), "TMPDIR": str(home), "UV_CACHE_DIR": cache}
    return kept | NOBODY | folders | {"PATH": path}


ENTER = "\r"
QUESTIONS = (
    "for people",
    "distribution name",
    "in one sentence",
    "Who writes it",
    "mail comes from",
)
DEFAULTS = dict.fromkeys(QUESTIONS, ENTER)
WRONG, RIGHT = 'Post "Office"', "Post Office"


def shown(readme: str, tool: str) -> str:
    """Turn a transcript in the README into a pattern: any numbers, any lines where it has `...`."""
    [block] = re.findall(rf"^```text\n(\$ [^\n]*{tool} .*?)^```", readme, re.DOTALL | re.MULTILINE)
    pattern = re.escape(block).replace("\\\n", "\n")
    pattern = re.sub(r"\d+(\\\.\d+)?", r"[\\d.]+", pattern)
    pattern = re.sub(r"={3,}", "=+", pattern)
    return pattern.replace("\n\\.\\.\\.\n", "\n(.*\\n)*?")


def test_repository(tmp_path: Path) -> None:
    """A newcomer types, is corrected, and gets a service, as the README shows it."""
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    generate, copy, test = commands(REPOSITORY / "README.md")
    clone = copy_template(tmp_path / "clone")
    commit(clone, tag=OLD)
    env = bare(tmp_path / "home")
    again = generate.rpartition(" && ")[2]
    end = ("Choose from", ENTER)

    wrong = DEFAULTS | {"for people": WRONG + ENTER}
    code, refused = play(generate, clone, env, [*wrong.items(), end])
    assert code == 1
    assert not (tmp_path / "post-office").exists()
    right = DEFAULTS | {"for people": RIGHT + ENTER}
    code, made = play(again, clone, env, [*right.items(), end])
    assert code == 0, made
    [passed], [said] = (re.findall(r"(\d+) passed", text) for text in (made, readme))
    assert abs(int(said) - int(passed)) <= int(passed) / 10, f"the README says {said}, not {passed}"
    assert (tmp_path / "post-office/uv.lock").is_file()
    transcript = f"$ {again}\n{refused}$ {again}\n{made}"
    assert re.search(shown(readme, "cookiecutter"), transcript), transcript

    with Terminal(copy, clone, env) as terminal:
        terminal.wait("for people\n[^\n]*")
        terminal.type(CLEAR_LINE + WRONG + ENTER)
        terminal.wait(r'must not contain any of " \\ { } < >')
        refused = terminal.text()
        terminal.type(CLEAR_LINE + RIGHT + ENTER)
        for question in QUESTIONS[1:]:
            terminal.wait(rf"{question}\n[^\n]*")
            terminal.type(ENTER)
        terminal.wait("celery: [^\n]*")
        terminal.type(ENTER)
        assert terminal.end() == 0, terminal.text()
        transcript = f"$ {copy}\n{refused}{terminal.text()}"
    assert re.search(shown(readme, "copier"), transcript), transcript
    project = tmp_path / "my-service"
    assert 'name = "post-office"' in (project / "pyproject.toml").read_text("utf-8")

    commit(project)
    plant(clone)
    commit(clone, tag=NEW)
    run(str(clone / ".tools/bin/uvx"), "copier", "update", "--defaults", cwd=project, **env)
    assert (project / "app/brisk.py").exists()

    # This very run is the third command's, and CI's.
    assert test in (REPOSITORY / ".ci/run").read_text().splitlines()


@EACH_TREE
def test_service(backend: str, answers: str, installed: Baker, brokers: Brokers) -> None:
    """In a bake, every command of its pages does what the page says, here or in another test."""
    project = installed(*Cell(backend, answers=answers))
    pages = [*project.glob("*.md"), *project.glob("docs/*.md")]
    left = {command for page in pages for command in commands(page)}
    assert ELSEWHERE.keys() & left == ELSEWHERE.keys() - ({WORKER} if backend == "none" else set())
    left -= ELSEWHERE.keys()
    port = str(free_port())
    url = f"http://127.0.0.1:{port}"

    def take(pattern: str) -> str:
        """Cross off the command that begins so, and return it with our address."""
        [command] = [command for command in left if re.match(pattern, command)]
        left.remove(command)
        return re.sub(r"http://127\.0\.0\.1:8000|https://mail\.example\.com", url, command)

    def shell(command: str, **settings: str) -> str:
        return run("sh", "-c", f'PATH="{Path(UV).parent}:$PATH" {command}', cwd=project, **settings)

    before = tree(project)
    shell(take("uv run poe fix"))
    shell(take("uv run poe settings"))
    assert tree(project) == before

    dev = take("uv run fastapi dev")
    assert "http://127.0.0.1:8000/sandbox/" in (project / "README.md").read_text()
    path = f"{Path(UV).parent}{os.pathsep}{os.environ['PATH']}"
    settings = brokers(backend).settings() | {"PORT": port, "PATH": path}
    with running(project, ["sh", "-c", dev], f"{url}/healthz", **settings):
        answer = shell(take("curl .*/signup"))
        assert re.fullmatch(r'\{"email_id":"em_\w+"\}', answer)
        receipt = shell(take("curl .*/receipts"))
        assert receipt == '{"idempotency_key":"receipt:1001"}'
        assert shell(take("curl .*/healthz")) == '{"status":"ok"}'
        assert shell(take("curl .*/webhooks/poststack")) == "401"
        events = take("curl .*/events/em_1").replace("em_1", json.loads(answer)["email_id"])
        deadline = time.monotonic() + 10
        while '"delivered"' not in shell(events, API_KEY="key_for_development"):
            assert time.monotonic() < deadline
    if backend != "none":
        assert shell(take("uv run poe failed"), **settings).endswith("0 failed\n")
        assert "0 " in shell(take("uv run poe requeue"), **settings)
    assert left <= {"uvx copier update --data queue_backend=arq"}  # see `test_update`
