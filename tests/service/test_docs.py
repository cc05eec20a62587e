"""A service's pages: followed to the letter, drawn, and right for unusual answers."""

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from harness.bakery import PATH, UV, Baker, run, tree
from harness.brokers import Brokers
from harness.cells import BACKEND, EACH_BACKEND
from harness.ports import free_port
from harness.server import running

# Each code block of the page but the commands is a new file, which the line before it names.
FILE = re.compile(r"^`(?P<file>[^`]+)`:\n\n```\w+\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = {"signup", "notify", "receipts", "password_resets"}
CHECKS = ("poe lint", "poe format", "poe types")


def copy(project: Path, folder: Path) -> Path:
    """Copy an installed bake."""
    return shutil.copytree(project, folder / "acme-mail", symlinks=True)


def uv_run(project: Path, command: str) -> str:
    """Run one of the project's commands, with the packages that are installed."""
    return run(UV, "run", "--no-sync", *command.split(), cwd=project, UV_NO_SYNC="1")


def shell(project: Path, script: str) -> None:
    """Run lines of a page as they are typed."""
    run("sh", "-euc", script, cwd=project, PATH=PATH, UV_NO_SYNC="1")


def mentions(project: Path, words: Iterable[str]) -> set[str]:
    """Find the files that speak of these words."""
    found = re.compile("|".join(words))
    return {name for name, content in tree(project).items() if found.search(content.decode())}


def paths(example: str) -> set[str]:
    """Return how an example's folder and its route begin."""
    return {f"/{example}", f"/{example.replace('_', '-')}"}


def test_add_an_email(installed: Baker, tmp_path: Path) -> None:
    """Whoever follows the page has a new email whose checks are green, and edits no file for it."""
    project = copy(installed(), tmp_path)
    page = (project / "docs/add-an-email.md").read_text()
    assert len(page.splitlines()) < 120
    new = {step["file"]: step["code"] for step in FILE.finditer(page)}
    assert len(new) == len(re.findall(r"^```(?!console)\w+$", page, re.MULTILINE)) == 7
    for name, code in new.items():
        path = project / name
        assert not path.exists()
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(code)

    assert re.findall(r"^\$ uv run (.+)$", page, re.MULTILINE) == [
        "pytest tests/test_invitations.py",
        "poe check",
    ]
    # Its parts, with the tests that find a new email; the others are the same for every bake.
    asking = "tests/test_invitations.py tests/test_docs.py tests/web/test_routes.py"
    for command in (*CHECKS, f"pytest {asking} tests/mail"):
        uv_run(project, command)


def test_add_a_table(installed: Baker, tmp_path: Path) -> None:
    """The page's commands make migrations that pass the checks, and that run."""
    project = copy(installed(), tmp_path)
    page = (project / "docs/database.md").read_text()
    lines = re.findall(r"^\$ (uv run alembic .+)$", page, re.MULTILINE)
    assert len(lines) == 2

    shell(project, "\n".join(lines))

    for command in CHECKS:
        uv_run(project, command)
    database = tmp_path / "new.sqlite3"
    run(UV, "run", "--no-sync", "poe", "migrate", cwd=project, DATABASE_URL=f"sqlite:///{database}")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("INSERT INTO invitations (id, name) VALUES ('1', 'Ada')")


@EACH_BACKEND
def test_examples_go(backend: str, installed: Baker, brokers: Brokers, tmp_path: Path) -> None:
    """The page's commands remove all examples; what is left is green, starts, and is silent."""
    project = copy(installed(backend), tmp_path)
    first, _ = re.findall(
        r"^```console\n(.*?)^```$",
        (project / "docs/make-it-yours.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    lines = [line.removeprefix("$ ") for line in first.splitlines()]
    assert len(lines) <= 8
    assert lines[-1] == "uv run poe check"

    shell(project, "\n".join(lines[:-1]))

    # The sandbox's tests are the same for every bake, and are run there.
    printed = uv_run(project, "pytest --cov --ignore=tests/sandbox")
    assert "Required test coverage of 95.0% reached" in printed
    for command in CHECKS:
        uv_run(project, command)
    words = {word for name in EXAMPLES for word in paths(name)} | {"signup", "receipts", *EXAMPLES}
    assert mentions(project, words) <= {"docs/make-it-yours.md"}
    url = f"http://127.0.0.1:{free_port()}"
    dev = (UV, "run", "--no-sync", "fastapi", "dev", "--port", url.rpartition(":")[2])
    with running(project, dev, f"{url}/healthz", **brokers(backend).settings()):
        assert httpx.get(f"{url}/readyz").status_code == 200
        assert httpx.post(f"{url}/signup", json={}).status_code == 404


@pytest.mark.parametrize("example", sorted(EXAMPLES))
def test_one_example_goes(example: str, installed: Baker, tmp_path: Path) -> None:
    """Each example can go alone, and takes what speaks of it along."""
    project = copy(installed(), tmp_path)
    first, second = re.findall(
        r"^```console\n(.*?)^```$",
        (project / "docs/make-it-yours.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    script = second.replace("$ ", "").replace("example=notify", f"example={example}")
    if example == "signup":
        script += f"{first.splitlines()[1][2:]}\nrm -rf data\nuv run poe fix"

    shell(project, script)

    for command in (*CHECKS, "pytest tests/examples tests/test_docs.py tests/web/test_routes.py"):
        uv_run(project, command)
    assert mentions(project, paths(example)) <= {"docs/make-it-yours.md"}


@BACKEND
def test_diagram(
    backend: str, baked: Baker, browser: Browser, node_modules: Callable[[str], Path]
) -> None:
    """The picture of the message's path can be drawn, and names files that exist."""
    project = baked("cookiecutter", backend)
    text = (project / "docs/architecture.md").read_text()
    [diagram] = re.findall(r"^```mermaid\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)

    script = node_modules("mermaid@11.17.2") / "mermaid/dist/mermaid.min.js"
    page = browser.new_page()
    page.add_script_tag(path=str(script))
    drawn = page.evaluate("(code) => mermaid.render('path', code)", diagram)["svg"]
    page.close()

    assert drawn.startswith("<svg")
    assert "PostStack" in drawn
    files = re.findall(r"app/[\w/.]+", diagram)
    assert len(files) > 5
    assert [file for file in files if not (project / file).exists()] == []
    for word, has in {"Redis": "arq", "RabbitMQ": "celery"}.items():
        assert (word in diagram) == (has == backend)
