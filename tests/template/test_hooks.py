"""Generation says so when the service's tests fail or cannot run; `test_readme.py` has success."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.bakery import SCRIPTS, SERVICE, UV, copy_template, environment, run


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A clean copy of the repository with all its hooks, for this test alone."""
    return copy_template(tmp_path / "template")


def plant(template: Path, test: str) -> None:
    """Let the service have this test, and no other."""
    tests = template / SERVICE / "tests"
    shutil.rmtree(tests)
    tests.mkdir()
    (tests / "test_planted.py").write_text(f"def test_planted() -> None:\n    {test}\n")


def generate(
    template: Path, *options: str, python: str = sys.executable, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run cookiecutter as a user does, into the folder beside the template."""
    return subprocess.run(
        [python, "-m", "cookiecutter", "--no-input", *options, "-o", "out", str(template)],
        cwd=template.parent,
        env=environment(UV=UV, TMPDIR=str(template.parent)) | extra,
        capture_output=True,
        text=True,
        check=False,
    )


def test_fails_with_the_service(whole: Path) -> None:
    """A service that fails its tests is not handed out, unless the user asks to look at it."""
    plant(whole, 'assert not "planted"')

    result = generate(whole)
    assert result.returncode == 1
    assert "1 failed" in result.stdout
    assert "--keep-project-on-failure" in result.stderr
    assert not (whole.parent / "out/acme-mail").exists()

    result = generate(whole, "--keep-project-on-failure")
    assert result.returncode == 1
    assert (whole.parent / "out/acme-mail/app/main.py").is_file()


def test_offline(whole: Path) -> None:
    """A machine that cannot install keeps the files, and is told that nothing is verified."""
    result = generate(whole, UV_OFFLINE="1", UV_CACHE_DIR=str(whole.parent / "empty"))

    assert result.returncode == 0, result.stderr
    assert "NOT VERIFIED" in result.stdout
    assert "uv run pytest" in result.stdout
    assert (whole.parent / "out/acme-mail/app/main.py").is_file()


def test_without_uv(whole: Path, tmp_path: Path) -> None:
    """Where there is no uv the hook fetches one for the moment, and prints commands without it."""
    plant(whole, "import fastapi")  # the README's test runs all
    bare = tmp_path / "bare"
    run(UV, "venv", "--quiet", "--python", sys.executable, str(bare), cwd=tmp_path)
    python = str(bare / SCRIPTS.name / "python")
    run(UV, "pip", "install", "--quiet", "--python", python, "cookiecutter", cwd=tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(shutil.which("git") or "git")

    result = generate(whole, python=python, UV="", PATH=str(tmp_path / "bin"))

    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout, result.stdout + result.stderr
    project = whole.parent / "out/acme-mail"
    assert (project / "uv.lock").is_file()
    command = result.stdout.split()[-2]
    assert command == os.path.join(".venv", SCRIPTS.name, "fastapi")  # noqa: PTH118  as printed
    assert (project / command).exists()
