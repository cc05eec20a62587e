"""A service made with copier can change its mind about the queue, and stays green."""

from pathlib import Path

import copier
import pytest

from tests.bakery import UV, copy_template, run, tree
from tests.conftest import Baker

NOBODY = {
    "GIT_AUTHOR_NAME": "Nobody",
    "GIT_AUTHOR_EMAIL": "nobody@example.com",
    "GIT_COMMITTER_NAME": "Nobody",
    "GIT_COMMITTER_EMAIL": "nobody@example.com",
}


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """An author for the commits, copier's included."""
    for name, value in NOBODY.items():
        monkeypatch.setenv(name, value)


def commit(folder: Path, *, tag: str | None = None) -> None:
    """Put everything in the folder under version control."""
    for command in ("init --quiet", "add --all", "commit --quiet --allow-empty --message=State"):
        run("git", *command.split(), cwd=folder)
    if tag:
        run("git", "tag", tag, cwd=folder)


# Its last step tests a service with Celery, and two of those at once would meet in one RabbitMQ.
@pytest.mark.xdist_group("celery")
@pytest.mark.usefixtures("nobody")
def test_change_of_queue(baked: Baker, tmp_path: Path) -> None:
    """From none to arq to celery, with an edit of one's own kept, and each step as if baked so."""
    template = copy_template(tmp_path / "template")
    commit(template, tag="0.1.0")
    project = tmp_path / "acme-mail"
    copier.run_copy(str(template), project, defaults=True, quiet=True, vcs_ref="HEAD")
    layout = project / "app/emails/layout.html"
    layout.write_text(layout.read_text().replace("560px", "600px"))
    commit(project)

    for backend in ("arq", "celery"):
        copier.run_update(
            project,
            data={"queue_backend": backend},
            defaults=True,
            overwrite=True,
            quiet=True,
            vcs_ref="HEAD",
        )
        ours, expected = tree(project), tree(baked("copier", backend))
        edited = expected["app/emails/layout.html"].replace(b"560px", b"600px")
        assert ours == expected | {"app/emails/layout.html": edited}
        commit(project)

    run(UV, "sync", "--quiet", cwd=project)
    run(UV, "run", "--no-sync", "poe", "check", cwd=project)
