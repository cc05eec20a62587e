"""The template's releases: the versions that its changelog has a heading for."""

import re
from pathlib import Path

from harness.bakery import REPOSITORY, run

HEADING = re.compile(r"^## (\d+\.\d+\.\d+)$", re.MULTILINE)
"""Of a release; the section above has another, such as `## 0.2.0 (unreleased)`."""

NONE_YET = "nothing is released yet: CHANGELOG.md has no heading of a release that is committed"
SHALLOW = "a shallow clone has no releases: get them with `git fetch --unshallow --tags`"
FIRST = "0.0.0"
"""What the last commit is called while nothing is released."""


def shallow(repository: Path = REPOSITORY) -> bool:
    """Tell whether a clone lacks history; its one commit seems to have brought everything."""
    return run("git", "rev-parse", "--is-shallow-repository", cwd=repository).strip() == "true"


def releases(repository: Path = REPOSITORY) -> dict[str, str]:
    """Find the commit of each release, oldest first; a shallow clone has none.

    That is the tag's, or in a clone without tags the last one that brought the heading.
    """
    if shallow(repository):
        return {}
    found = {}
    for version in reversed(HEADING.findall((repository / "CHANGELOG.md").read_text("utf-8"))):
        tagged = run("git", "tag", "--list", version, cwd=repository).split()
        search = tagged or [f"-G^## {re.escape(version)}$", "--", "CHANGELOG.md"]
        if commits := run("git", "log", "--format=%H", *search, cwd=repository).split():
            found[version] = commits[0]
    return found


def before(text: str, path: str, repository: Path = REPOSITORY) -> str | None:
    """Find the last commit whose file has a text that is gone; a shallow clone has none."""
    if shallow(repository):
        return None
    search = ("--max-count=1", "--format=%H", f"-S{text}", "--", path)
    removed = run("git", "log", *search, cwd=repository).strip()
    return run("git", "rev-parse", f"{removed}^", cwd=repository).strip()


def origins(repository: Path = REPOSITORY) -> dict[str, str]:
    """Find the commits to update from: the releases, or the last commit before there is one."""
    if shallow(repository):
        return {}
    head = run("git", "rev-parse", "HEAD", cwd=repository).strip()
    return releases(repository) or {FIRST: head}


def news(changelog: str, version: str) -> str:
    """Return the sections above a release's."""
    above, _, _ = changelog.partition(f"\n## {version}\n")
    _, heading, sections = above.partition("\n## ")
    return heading + sections


def clone(repository: Path, folder: Path) -> Path:
    """Clone the template, with a tag for each origin that has none."""
    run("git", "clone", "--quiet", str(repository), str(folder), cwd=repository)
    for version, commit in origins(repository).items():
        run("git", "tag", "--force", version, commit, cwd=folder)
    return folder
