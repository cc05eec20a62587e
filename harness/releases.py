"""The template's releases: what its changelog has a heading for."""

import re
from pathlib import Path

from harness.bakery import REPOSITORY, run

HEADING = re.compile(r"^## (\d+\.\d+\.\d+)\b", re.MULTILINE)
SHALLOW = "a shallow clone has no releases: get them with `git fetch --unshallow --tags`"


def releases(repository: Path = REPOSITORY) -> dict[str, str]:
    """Find the commit of each release, oldest first.

    That is the tag's, or in a clone without tags the last one that brought the heading. A shallow
    clone has none: its one commit seems to have brought everything.
    """
    if run("git", "rev-parse", "--is-shallow-repository", cwd=repository).strip() == "true":
        return {}
    found = {}
    for version in reversed(HEADING.findall((repository / "CHANGELOG.md").read_text("utf-8"))):
        tagged = run("git", "tag", "--list", version, cwd=repository).split()
        search = tagged or [f"-S## {version}", "--", "CHANGELOG.md"]
        if commits := run("git", "log", "--format=%H", *search, cwd=repository).split():
            found[version] = commits[0]
    return found


def news(changelog: str, version: str) -> str:
    """Return the sections above a release's."""
    above, _, _ = changelog.partition(f"\n## {version}")
    _, heading, sections = above.partition("\n## ")
    return heading + sections


def clone(repository: Path, folder: Path) -> Path:
    """Clone the template, with a tag for each release that has none."""
    run("git", "clone", "--quiet", str(repository), str(folder), cwd=repository)
    for version, commit in releases(repository).items():
        run("git", "tag", "--force", version, commit, cwd=folder)
    return folder
