"""Bakes: what cookiecutter and copier make of the template, from a clean copy of its files."""

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import copier
import yaml
from cookiecutter.main import cookiecutter

REPOSITORY = Path(__file__).parent.parent
SERVICE = "{{cookiecutter.project_slug}}"
BACKENDS = ("none", "arq", "celery")
TOOLS = ("cookiecutter", "copier")

Baker = Callable[..., Path]
"""The fixtures `baked` and `installed`: from what is wanted to the folder of the service."""

SCRIPTS = Path(sys.executable).parent
UV = os.environ.get("UV") or shutil.which("uv") or str(SCRIPTS / "uv")

PATH = f"{Path(UV).parent}{os.pathsep}{os.environ['PATH']}"
"""With uv on it, as pages take it for given."""


def environment(**extra: str) -> dict[str, str]:
    """Return ours, less what belongs to the tests' own project and run.

    And less what keeps bytecode away: each of a bake's processes would compile all it imports.
    """
    ours = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    for name in (
        "COV_CORE_SOURCE",
        "PYTHONDONTWRITEBYTECODE",
        "UV_PROJECT_ENVIRONMENT",
        "VIRTUAL_ENV",
    ):
        ours.pop(name, None)
    return ours | extra


def files() -> list[Path]:
    """List the repository's files as git sees them: no caches, nothing ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = (REPOSITORY / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def copy_template(destination: Path, *, post_gen: bool = True) -> Path:
    """Copy the repository as a clone would have it, or without the hook that installs and tests."""
    for path in files():
        if post_gen or path.name != "post_gen_project.py":
            copy = destination / path.relative_to(REPOSITORY)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
    return destination


@contextmanager
def temporary_files() -> Iterator[None]:
    """Remove what is left among them: cookiecutter leaves each hook that it renders."""
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = None


def bake(tool: str, template: Path, folder: Path, answers: Mapping[str, str]) -> Path:
    """Bake without questions, as `--no-input` and `--defaults` do; return the project's folder.

    copier is told the folder, as its users do; cookiecutter names it after the slug.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if tool == "cookiecutter":
        with temporary_files():
            return Path(
                cookiecutter(
                    str(template),
                    no_input=True,
                    extra_context=dict(answers),
                    output_dir=str(folder),
                    default_config=True,
                )
            )
    project = folder / answers.get("project_slug", "acme-mail")
    copier.run_copy(str(template), project, data=dict(answers), defaults=True, quiet=True)
    return project


def tree(project: Path) -> dict[str, bytes]:
    """Read the files of a bake, less copier's answers and what installing and testing made."""
    made = {".copier-answers.yml", ".coverage", "uv.lock"}
    folders = {
        ".git",
        ".venv",
        "__pycache__",
        ".import_linter_cache",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        "data",
    }
    return {
        path.relative_to(project).as_posix(): path.read_bytes()
        for path in sorted(project.rglob("*"))
        if path.is_file()
        and path.name not in made
        and not folders.intersection(path.relative_to(project).parts)
    }


PARSERS: dict[str, Callable[[str], object]] = {
    ".py": ast.parse,
    ".toml": tomllib.loads,
    ".yaml": lambda text: list(yaml.safe_load_all(text)),
    ".yml": lambda text: list(yaml.safe_load_all(text)),
    ".json": json.loads,
}


def parse(files: dict[str, bytes]) -> set[str]:
    """Parse every file whose language we know; return the suffixes that were among them."""
    found = set()
    for name, content in files.items():
        suffix = f".{name.rpartition('.')[2]}"
        if suffix in PARSERS:
            PARSERS[suffix](content.decode())
            found.add(suffix)
    return found


def run(*command: str, cwd: Path, **extra: str) -> str:
    """Run a command in a bake and return what it printed; a failure shows all of it."""
    result = subprocess.run(
        command, cwd=cwd, env=environment(**extra), capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise RuntimeError(f"{command} in {cwd}\n{result.stdout}\n{result.stderr}")
    return result.stdout


def find_python(version: str) -> str | None:
    """Find an interpreter of this version, also where pyenv hides it behind its shims."""
    on_path = shutil.which(f"python{version}")
    if on_path and Path(on_path).parent.name == "shims":
        versions = Path(on_path).parent.parent / "versions"
        return next((str(path) for path in versions.glob(f"{version}.*/bin/python")), None)
    found = subprocess.run(
        [UV, "python", "find", "--no-project", version],
        env=environment(UV_PYTHON_DOWNLOADS="never"),
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or None
