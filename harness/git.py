"""Commits, with an author and a committer of their own."""

from pathlib import Path

from harness.bakery import run

NOBODY = {
    "GIT_AUTHOR_NAME": "Nobody",
    "GIT_AUTHOR_EMAIL": "nobody@example.com",
    "GIT_COMMITTER_NAME": "Nobody",
    "GIT_COMMITTER_EMAIL": "nobody@example.com",
}


def commit(folder: Path, *, tag: str | None = None) -> None:
    """Put everything in the folder under version control."""
    for command in ("init --quiet", "add --all", "commit --quiet --allow-empty --message=State"):
        run("git", *command.split(), cwd=folder, **NOBODY)
    if tag:
        run("git", "tag", tag, cwd=folder)
