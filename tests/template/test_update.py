"""Updates: the owner's edits survive a newer template and a change of the queue."""

import json
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import copier
import httpx
import pytest

from harness.bakery import REPOSITORY, SCRIPTS, SERVICE, Baker, copy_template, run, tree
from harness.cells import EACH_BACKEND
from harness.edits import both_touched, edit, replace
from harness.git import NOBODY, commit
from harness.ports import free_port
from harness.processes import until
from harness.releases import SHALLOW, before, clone, origins, releases
from harness.server import AUTHORIZED, running
from harness.versions import ADDED, NEW, OLD, plant

# Other tests do not ask about emails and routes.
COMMANDS = (
    "ruff check",
    "ruff format --check",
    "mypy",
    "pytest tests/test_docs.py tests/mail/test_rendering.py tests/web/test_routes.py",
)
BOUNCING = "bounced@sandbox.poststack.dev"
CHAINS = [
    ["none", "arq", "celery", "none"],
    pytest.param(["none", "celery", "arq", "none"], marks=pytest.mark.matrix),
]


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """An author for copier's commits."""
    for name, value in NOBODY.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """A template's repository with an old version, which is the working tree, and a next one."""
    template = copy_template(tmp_path / "template", post_gen=False)
    commit(template, tag=OLD)
    plant(template)
    commit(template, tag=NEW)
    return template


def made(template: Path, version: str, folder: Path, backend: str = "none") -> Path:
    """Make a service with copier from a version of a template, edit it, and commit that."""
    copier.run_copy(
        str(template),
        folder,
        data={"queue_backend": backend},
        defaults=True,
        quiet=True,
        vcs_ref=version,
    )
    commit(edit(folder))
    return folder


def update(project: Path, version: str, **answers: str) -> None:
    """Run `copier update`."""
    copier.run_update(
        project, data=answers, defaults=True, overwrite=True, quiet=True, vcs_ref=version
    )


def test_edits_and_news_are_both_kept(versions: Path, tmp_path: Path, installed: Baker) -> None:
    """An updated service is what the same edits make of the new version, and it holds together."""
    project = made(versions, OLD, tmp_path / "ours")

    update(project, NEW)

    assert tree(project) == tree(made(versions, NEW, tmp_path / "expected"))
    assert (project / ADDED).exists()
    for command in COMMANDS:
        python = str(installed() / ".venv/bin/python")
        run(python, "-m", *command.split(), cwd=project)


def test_conflicts_are_few(versions: Path, tmp_path: Path) -> None:
    """A line that both sides have changed, and only that, is left to the user."""
    project = made(versions, OLD, tmp_path / "ours")
    replace(project / ".env.example", "# Copy to .env.", "# Ours: copy to .env.")
    commit(project)

    update(project, NEW)

    expected = tree(made(versions, NEW, tmp_path / "expected"))
    conflict = tree(project)[".env.example"].decode()
    assert tree(project) | {".env.example": b""} == expected | {".env.example": b""}
    assert re.search(r"<<<<<<<.*\n# Ours: copy.*\n=======\n# Brisk: copy.*\n>>>>>>> ", conflict)


@pytest.mark.parametrize("chain", CHAINS, ids="-".join)
def test_change_of_queue(chain: list[str], tmp_path: Path, template: Path, baked: Baker) -> None:
    """A change of queue leaves what a service with the new queue and the same edits has."""
    repository = shutil.copytree(template, tmp_path / "template")
    commit(repository, tag=OLD)
    project = made(repository, OLD, tmp_path / "ours", chain[0])

    for number, backend in enumerate(chain[1:]):
        update(project, OLD, queue_backend=backend)
        bake = shutil.copytree(baked("copier", backend), tmp_path / f"expected-{number}")
        assert tree(project) == tree(edit(bake))
        commit(project)


CONFLICT = re.compile(r"^(<<<<<<< .*?^>>>>>>> [^\n]*\n)", re.MULTILINE | re.DOTALL)


def only_conflicts(after: str, expected: str) -> bool:
    """Tell whether a text has conflicts, and around them is as expected."""
    parts = CONFLICT.split(after)
    parts[::2] = map(re.escape, parts[::2])
    parts[1::2] = [rf"(.*\n){{0,{len(block.splitlines()) - 3}}}" for block in parts[1::2]]
    return len(parts) > 1 and bool(re.fullmatch("".join(parts), expected))


def test_lost_edits_are_found() -> None:
    """The next test sees an edit that is lost beside a conflict."""
    conflict = "<<<<<<< before\n2\n=======\n3\n>>>>>>> after\n"
    assert only_conflicts(f"1\n{conflict}4\n", "1\n2\n4\n")
    assert not only_conflicts(f"1\n{conflict}4\n5\n", "1\n2\n4\nours\n5\n")
    assert not only_conflicts("1\n4\n", "1\n2\n4\n")


@pytest.mark.parametrize("version", origins() or [None])
@EACH_BACKEND
def test_from_a_release(backend: str, version: str | None, tmp_path: Path) -> None:
    """From every release to this tree: edits kept, conflicts only where both sides changed.

    Before the first release, from the last commit.
    """
    if version is None:
        pytest.skip(SHALLOW)
    repository = clone(REPOSITORY, tmp_path / "template")
    project = made(repository, version, tmp_path / "ours", backend)
    for path in repository.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    commit(copy_template(repository), tag="999.0.0")
    old, ours = tree(untouched(repository, version, tmp_path / "old", backend)), tree(project)

    update(project, "999.0.0")

    new = untouched(repository, "999.0.0", tmp_path / "new", backend)
    theirs, after = tree(new), tree(project)
    expected = tree(edit(new))
    assert after.keys() == expected.keys()
    for name in after:
        if after[name] != expected[name]:
            texts = [files.get(name, b"").decode() for files in (old, ours, theirs)]
            assert only_conflicts(after[name].decode(), expected[name].decode()), name
            assert both_touched(*texts), name


def untouched(template: Path, version: str, folder: Path, backend: str) -> Path:
    """Make a service from a version of a template."""
    answers = {"queue_backend": backend}
    copier.run_copy(str(template), folder, data=answers, defaults=True, quiet=True, vcs_ref=version)
    return folder


def test_data_come_along(tmp_path: Path, installed: Baker) -> None:
    """A service of 0.2.0 keeps its users, its suppressions and its events."""
    old = releases().get("0.2.0") or before("database_path: Path", f"{SERVICE}/app/settings.py")
    if old is None:
        pytest.skip(SHALLOW)
    repository = clone(REPOSITORY, tmp_path / "template")
    run("git", "tag", "--force", OLD, old, cwd=repository)
    run("git", "checkout", "--quiet", "-B", "next", cwd=repository)
    project = untouched(repository, OLD, tmp_path / "ours", "none")
    commit(project)
    url = f"http://127.0.0.1:{free_port()}"
    # What 0.2.0 needs is among today's packages.
    start = [str(installed() / ".venv/bin/fastapi"), "dev", "--port", url.rpartition(":")[2]]
    ada, bob = ({"email": email, "name": "Ada"} for email in ("ada@acme.dev", BOUNCING))
    lines = [{"description": "Tea", "amount": "7.50"}]
    order = {"order_id": "1", "recipient": BOUNCING, "lines": lines, "total": "7.50"}

    def welcome_key() -> str:
        """Sign Ada up, and return her mail's key, less the digest of what the mail says."""
        assert httpx.post(f"{url}/signup", json=ada).status_code == 201
        mails = httpx.get(f"{url}/sandbox/messages").json()["messages"]
        key = next(m["body"]["idempotency_key"] for m in mails if m["to"] == [ada["email"]])
        return str(key).rpartition(":")[0]

    with running(project, start, f"{url}/healthz"):
        first = welcome_key()
        bounced = httpx.post(f"{url}/signup", json=bob).json()
        events = f"{url}/events/{bounced['email_id']}"
        until(lambda: httpx.get(events, headers=AUTHORIZED).json()["events"], "the bounce")
    users = rows(project, "SELECT id, email, name FROM users ORDER BY id")
    assert len(users) == 2

    copy_template(repository)
    commit(repository, tag="999.0.0")
    update(project, "999.0.0")

    with running(project, start, f"{url}/healthz"):
        assert welcome_key() == first  # the sandbox's mailbox is another, the user is not
        assert httpx.post(f"{url}/receipts", json=order, headers=AUTHORIZED).status_code == 422
        found = httpx.get(f"{url}/emails/{bounced['email_id']}", headers=AUTHORIZED).json()
    assert rows(project, "SELECT id, email, name FROM users ORDER BY id") == users
    assert rows(project, "SELECT address, reason FROM suppressions") == [(BOUNCING, "hard_bounce")]
    assert found["status"] == "bounced"
    assert [event["type"] for event in found["events"]] == ["bounced"]


def rows(project: Path, query: str) -> list[tuple[str, ...]]:
    """Read a service's SQLite file."""
    with closing(sqlite3.connect(project / "data/service.sqlite3")) as database:
        return database.execute(query).fetchall()


def test_cruft(tmp_path: Path) -> None:
    """Users of cookiecutter update with cruft, which keeps edits, too."""
    template = copy_template(tmp_path / "template")
    commit(template, tag=OLD)
    cruft = str(SCRIPTS / "cruft")
    run(cruft, "create", str(template), "--no-input", "--checkout", OLD, cwd=tmp_path)
    project = tmp_path / "acme-mail"
    commit(project)
    commit(edit(project))
    plant(template)
    commit(template, tag=NEW)

    run(cruft, "update", "--skip-apply-ask", "--checkout", NEW, cwd=project)

    expected = tree(made(template, NEW, tmp_path / "expected"))
    ours = tree(project)
    recorded = json.loads(ours.pop(".cruft.json"))
    assert ours == expected
    assert recorded["checkout"] == NEW
