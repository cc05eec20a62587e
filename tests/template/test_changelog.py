"""The changelog names whatever an update leaves to the person who runs it."""

from pathlib import Path

import pytest

from harness.bakery import REPOSITORY, SERVICE, UV, Baker, bake, copy_template, run
from harness.cells import EACH_BACKEND
from harness.edits import SETTINGS, insert, replace
from harness.git import commit
from harness.inventory import take, unnamed, work
from harness.releases import FIRST, NONE_YET, SHALLOW, clone, news, origins, releases, shallow

USERS, MESSAGE = "migrations/versions/signup_0001.py", "app/mail/message.py"
ROUTE = "app/examples/notify/router.py"
REQUIRED = """    planted_token: str = ""

    @field_validator("planted_token")
    @classmethod
    def planted(cls, value: str, info: ValidationInfo) -> str:
        if _in_production(info) and not value:
            raise ValueError("is missing")
        return value

"""


def test_work_is_found(installed: Baker, tmp_path: Path) -> None:
    """What goes, a setting that comes, and another form of what is queued, are to be named."""
    template = copy_template(tmp_path / "template", post_gen=False)
    service = template / SERVICE
    (service / ROUTE).unlink()
    replace(service / "pyproject.toml", "\nlint = ", "\nlinting = ")
    replace(service / USERS, '"name", sa.Text, nullable=False', '"name", sa.Text')
    insert(service / SETTINGS, REQUIRED, before="    poststack_api_key: SecretStr")
    insert(service / MESSAGE, '    planted: str = ""\n', before="    request_id: str")
    expected = {"POST /notify", "poe lint", "users", "PLANTED_TOKEN", "Message.planted"}

    project = bake("cookiecutter", template, tmp_path, {})
    (project / ".venv").symlink_to(installed() / ".venv")
    old, new = take(installed()), take(project)

    assert {"SENDER_EMAIL", "POSTSTACK_API_KEY"} <= old.required
    assert {"users", "events"} <= old.tables.keys()
    assert set(work(old, new)) == expected
    assert set(work(old, old)) == set()
    assert unnamed(work(old, new), "") == expected
    text = (
        "`/notify` is gone, `poe lint` is `poe linting`, set `PLANTED_TOKEN`, migrate `users`,"
        " `Message.planted` is new."
    )
    for name in expected:
        word = name.removeprefix("POST ")
        assert unnamed(work(old, new), text.replace(word, "...")) == {name}
    assert unnamed(work(old, new), text) == set()


def test_releases(tmp_path: Path) -> None:
    """A release is found by its tag, or else by the commit that brought its heading."""
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text("# Changelog\n\n## 0.1.0 (unreleased)\n", "utf-8")
    commit(tmp_path)
    [head] = run("git", "log", "--format=%H", cwd=tmp_path).split()
    assert releases(tmp_path) == {}
    assert origins(tmp_path) == {FIRST: head}
    for text in ("## 0.1.0\n", "## 0.2.0 (unreleased)\n\n## 0.1.0\n", "## 0.2.0\n\n## 0.1.0\n"):
        changelog.write_text(f"# Changelog\n\n{text}", "utf-8")
        commit(tmp_path)
    last, _, first, _ = run("git", "log", "--format=%H", cwd=tmp_path).split()

    assert releases(tmp_path) == origins(tmp_path) == {"0.1.0": first, "0.2.0": last}
    run("git", "tag", "0.1.0", cwd=tmp_path)
    changelog.write_text(f"\n## 0.3.0\n\n{text}", "utf-8")
    assert releases(tmp_path) == {"0.1.0": last, "0.2.0": last}  # and no commit has a 0.3.0

    last_only = tmp_path / "shallow"
    run("git", "clone", "--quiet", "--depth=1", tmp_path.as_uri(), str(last_only), cwd=tmp_path)
    assert releases(last_only) == origins(last_only) == {}


def test_news() -> None:
    """What stands above a release is news, and the changelog's introduction is not."""
    changelog = "# Changelog\n\nFor you.\n\n## 0.2.0 (unreleased)\n\nNew.\n\n## 0.1.0\n\nOld.\n"
    assert news(changelog, "0.1.0").split() == ["##", "0.2.0", "(unreleased)", "New."]
    assert news(changelog.replace("## 0.2.0 (unreleased)\n\nNew.\n\n", ""), "0.1.0") == ""


@EACH_BACKEND
def test_changelog_names_it(backend: str, installed: Baker, tmp_path: Path) -> None:
    """What has changed since the last release is in the changelog, above that release."""
    if not (found := releases()):
        pytest.skip(SHALLOW if shallow() else NONE_YET)
    last = list(found)[-1]
    released = clone(REPOSITORY, tmp_path / "template")
    run("git", "checkout", "--quiet", last, cwd=released)
    (released / "hooks/post_gen_project.py").unlink()
    text = news((REPOSITORY / "CHANGELOG.md").read_text("utf-8"), last)
    project = bake("cookiecutter", released, tmp_path, {"queue_backend": backend})
    run(UV, "sync", "--quiet", cwd=project)

    missing = unnamed(work(take(project), take(installed(backend))), text)
    assert not missing, f"CHANGELOG.md must name, above {last}: {missing}"
