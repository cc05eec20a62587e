"""What can be checked here of Windows and macOS: names of files, line ends, and commands."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from harness.bakery import REPOSITORY, TOOLS, Baker, files, run, tree
from harness.cells import BACKEND

ILLEGAL = re.compile(r'[<>:"|?*\\\x00-\x1f]|[. ]$')
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
LONGEST = 260 - len(r"C:\Users\somebody-with-a-name\source\repos\fastapi-services\ ") - 60
"""What Windows leaves for a path below the folder of a service, whose slug has at most 60."""


def faults(names: list[str]) -> list[str]:
    """Find the names that a file cannot have on Windows, or not beside another."""
    folded = Counter(name.casefold() for name in names)
    return [
        name
        for name in names
        if folded[name.casefold()] > 1
        or len(name) > LONGEST
        or any(ILLEGAL.search(part) or RESERVED.fullmatch(part) for part in name.split("/"))
    ]


@pytest.mark.parametrize(
    "name", ["a:b", "a/con", "Aux.py", "a./b", "a b ", "x" * 200, 'say "hi"', "a\\b", "what?"]
)
def test_faults_are_found(name: str) -> None:
    """The next tests see a name that Windows refuses."""
    assert faults([name, "fine.py"]) == [name]
    assert faults(["Readme.md", "README.md"]) == ["Readme.md", "README.md"]


def test_repository_can_be_cloned() -> None:
    """Every path of the repository is legal everywhere."""
    names = [path.relative_to(REPOSITORY).as_posix() for path in files()]
    assert faults(names) == []


@pytest.mark.parametrize("tool", TOOLS)
@BACKEND
def test_bake_has_legal_names(backend: str, tool: str, baked: Baker) -> None:
    """Every path of a service is legal everywhere."""
    assert faults(list(tree(baked(tool, backend)))) == []


def test_line_ends(baked: Baker, tmp_path: Path) -> None:
    """Git writes LF on Windows, too, here and in a service: bytes and formatting stay the same."""
    for folder in (REPOSITORY, baked("cookiecutter")):
        assert "* text=auto eol=lf" in (folder / ".gitattributes").read_text("utf-8").splitlines()
    for path in files():
        assert path.suffix == ".png" or b"\r" not in path.read_bytes(), path
    run("git", "init", "--quiet", cwd=tmp_path)
    run("git", "config", "core.autocrlf", "true", cwd=tmp_path)
    (tmp_path / ".gitattributes").write_bytes((REPOSITORY / ".gitattributes").read_bytes())
    (tmp_path / "a.py").write_bytes(b"a = 1\n")
    run("git", "add", "--all", cwd=tmp_path)
    (tmp_path / "a.py").unlink()
    run("git", "checkout", "--", "a.py", cwd=tmp_path)
    assert (tmp_path / "a.py").read_bytes() == b"a = 1\n"


@BACKEND
def test_tasks_need_no_shell(backend: str, baked: Baker) -> None:
    """The tasks are commands and their arguments, which poe starts by itself on any system."""
    pyproject = tomllib.loads(
        (baked("cookiecutter", backend) / "pyproject.toml").read_text("utf-8")
    )
    tasks = pyproject["tool"]["poe"]["tasks"]
    for name, task in tasks.items():
        command = task if isinstance(task, str) else task.get("cmd", "")
        assert command or "sequence" in task, f"{name} is neither a command nor a sequence"
        assert not re.search(r"[&|;<>$`*~]", command), name
