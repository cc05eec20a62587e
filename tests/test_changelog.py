"""The changelog names whatever an update leaves to the person who runs it."""

import re
from pathlib import Path

import pytest

from tests.bakery import REPOSITORY, SERVICE, UV, bake, copy_template, run
from tests.conftest import BACKEND, Baker
from tests.edits import insert
from tests.inventory import Inventory, take, unnamed, work
from tests.test_update import release_tags, replace

REQUIRED = """    planted_token: str = ""

    @field_validator("planted_token")
    @classmethod
    def planted(cls, value: str, info: ValidationInfo) -> str:
        if in_production(info) and not value:
            raise ValueError("is missing")
        return value

"""


def inventory(template: Path, folder: Path, backend: str = "none") -> Inventory:
    """Bake, install, and take the inventory."""
    project = bake("cookiecutter", template, folder, {"queue_backend": backend})
    run(UV, "sync", "--quiet", cwd=project)
    return take(project)


def test_work_is_found(installed: Baker, tmp_path: Path) -> None:
    """A route, a task and a table that go, and a setting that comes, are each work to be named."""
    template = copy_template(tmp_path / "template", post_gen=False)
    service = template / SERVICE
    replace(service / "app/api/__init__.py", "router.include_router(notify.router)\n", "")
    replace(service / "pyproject.toml", '\nlint = "', '\nlinting = "')
    replace(service / "app/users.py", "    name TEXT NOT NULL,", "    name TEXT,")
    insert(service / "app/settings.py", REQUIRED, before="    database_path: Path")
    expected = {"POST /notify", "poe lint", "users", "PLANTED_TOKEN"}

    old, new = take(installed()), inventory(template, tmp_path)

    assert {"SENDER_EMAIL", "POSTSTACK_API_KEY"} <= old.required
    assert {"users", "events"} <= old.tables.keys()
    assert set(work(old, new)) == expected
    assert set(work(old, old)) == set()
    assert unnamed(work(old, new), "") == expected
    text = "`/notify` is gone, `poe lint` is `poe linting`, set `PLANTED_TOKEN`, migrate `users`."
    for name in expected:
        word = name.removeprefix("POST ")
        assert unnamed(work(old, new), text.replace(word, "...")) == {name}
    assert unnamed(work(old, new), text) == set()


@BACKEND
def test_changelog_names_it(backend: str, installed: Baker, tmp_path: Path) -> None:
    """What has changed since the last release is in the changelog, above that release."""
    if not (tags := release_tags()):
        pytest.skip("no release tag in this clone: `git fetch --tags`, or there is no release yet")
    released = tmp_path / "template"
    run(
        "git",
        "clone",
        "--quiet",
        "--branch",
        tags[-1],
        str(REPOSITORY),
        str(released),
        cwd=tmp_path,
    )
    (released / "hooks/post_gen_project.py").unlink()
    changelog = (REPOSITORY / "CHANGELOG.md").read_text("utf-8")
    unreleased, heading, _ = re.split(
        rf"^(## {re.escape(tags[-1])}\b)", changelog, maxsplit=1, flags=re.MULTILINE
    )
    assert heading
    old = inventory(released, tmp_path / "old", backend)

    assert unnamed(work(old, take(installed(backend))), unreleased) == set()
