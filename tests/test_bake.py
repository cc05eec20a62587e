"""A bake is a product: the same from both tools, complete, clean and green."""

import ast
import json
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.bakery import BACKENDS, UV, find_python, run, tree
from tests.conftest import BACKEND, Baker

PYTHONS = ("3.11", "3.12", "3.13")
FOOTPRINT = {
    ".env.example",
    "README.md",
    "app/dispatch.py",
    "compose.yaml",
    "pyproject.toml",
    "tests/test_dispatch.py",
}


@BACKEND
def test_same_bytes(backend: str, baked: Baker) -> None:
    """Cookiecutter and copier make identical files; copier adds only its answers."""
    ours, theirs = baked("cookiecutter", backend), baked("copier", backend)

    assert tree(ours) == tree(theirs)
    assert not (ours / ".copier-answers.yml").exists()
    answers = yaml.safe_load((theirs / ".copier-answers.yml").read_text())
    assert answers["queue_backend"] == backend
    assert "cookiecutter" not in answers
    assert [p.stat().st_mode for p in sorted(ours.rglob("*"))] == [
        p.stat().st_mode for p in sorted(theirs.rglob("*")) if p.name != ".copier-answers.yml"
    ]


@BACKEND
def test_nothing_of_the_template_is_left(backend: str, baked: Baker) -> None:
    """No unrendered tag, no empty file, and no other backend's name in code or configuration."""
    others = {"arq", "celery"} - {backend}
    for name, content in tree(baked("cookiecutter", backend)).items():
        text = content.decode()
        assert text.strip(), name
        assert text.endswith("\n"), name
        assert not text.endswith("\n\n"), name
        assert not text.startswith("\n"), name
        assert "cookiecutter" not in text.lower().replace("cookiecutter-fastapi-poststack", ""), (
            name
        )
        assert "# %" not in text, name
        if not (name.startswith("app/emails/") or name == "app/api/home.html"):
            assert not re.search(r"\{[{%#]", text), name
        if not name.endswith(".md"):
            assert not [other for other in others if re.search(rf"\b{other}\b", text)], name


@BACKEND
def test_every_file_parses(backend: str, baked: Baker) -> None:
    """Python, TOML, YAML and JSON files are valid."""
    parsers: dict[str, Callable[[str], object]] = {
        ".py": ast.parse,
        ".toml": tomllib.loads,
        ".yaml": lambda text: list(yaml.safe_load_all(text)),
        ".yml": lambda text: list(yaml.safe_load_all(text)),
        ".json": json.loads,
    }
    seen: set[str] = set()
    for name, content in tree(baked("cookiecutter", backend)).items():
        suffix = f".{name.rpartition('.')[2]}"
        if suffix in parsers:
            parsers[suffix](content.decode())
            seen.add(suffix)
    assert {".py", ".toml"} <= seen


def test_footprint(baked: Baker) -> None:
    """Bakes that differ only in the queue differ only in the files that the design names."""
    trees = {backend: tree(baked("cookiecutter", backend)) for backend in BACKENDS}
    for backend in set(BACKENDS) - {"none"}:
        differing = {
            name
            for name in trees["none"].keys() | trees[backend].keys()
            if trees["none"].get(name) != trees[backend].get(name)
        }
        assert differing <= FOOTPRINT


@pytest.mark.parametrize("python", PYTHONS)
@BACKEND
def test_check(backend: str, python: str, installed: Baker) -> None:
    """Lint, format, strict types, tests and coverage are green as generated, on every Python."""
    if find_python(python) is None:
        pytest.skip(f"no Python {python} here: `uv python install {python}` brings one")
    project = installed(backend, python)
    before = tree(project)

    printed = run(UV, "run", "--no-sync", "poe", "check", cwd=project)

    assert f" -- Python {python}." in printed
    assert " passed" in printed
    assert not re.search(r"\d+ skipped", printed), printed
    assert tree(project) == before


@BACKEND
def test_lowest(backend: str, baked: Baker, tmp_path: Path) -> None:
    """The lower bounds of the dependencies are true: everything is green with them, too."""
    project = shutil.copytree(baked("cookiecutter", backend), tmp_path / "acme-mail")
    run(UV, "sync", "--quiet", "--resolution=lowest-direct", cwd=project)

    run(UV, "run", "--no-sync", "poe", "check", cwd=project)


@BACKEND
def test_lock(backend: str, installed: Baker) -> None:
    """The lock file is in step with the project."""
    run(UV, "lock", "--check", cwd=installed(backend))
