"""Generation says so when the service's tests fail or cannot run; `test_readme.py` has success."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.bakery import SCRIPTS, SERVICE, UV, bake, copy_template, environment, run, tree


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
    template: Path, *options: str, python: str = sys.executable, out: str = "out", **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run cookiecutter as a user does, into the folder beside the template."""
    return subprocess.run(
        [
            python,
            "-m",
            "cookiecutter",
            "--no-input",
            *options,
            f"--output-dir={out}",
            str(template),
        ],
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


SHELL = {
    "ALL_PROXY": "socks5://127.0.0.1:1080",  # what pytest gets: uv has all that it needs
    "NO_PROXY": "*",
    "VIRTUAL_ENV": "/another/project/.venv",
    "PYTHONPATH": "/another/project",
    "PYTHONSTARTUP": "/another/startup.py",
    "PYTHONWARNINGS": "error",
    "PYTHONOPTIMIZE": "2",
    "PYTEST_ADDOPTS": "--an-option-of-another-project",
    "PYTEST_PLUGINS": "another.plugin",
    "COVERAGE_PROCESS_START": "/another/.coveragerc",
    "UV_NO_DEV": "1",
    "UV_FROZEN": "1",
    "UV_PROJECT": "/another/project",
    "LC_ALL": "C",
    "TZ": "Pacific/Kiritimati",
}


def test_shell(whole: Path) -> None:
    """Cases 1 to 3: what the shell has for other programs does not reach the service's tests."""
    hidden = [name for name in SHELL if name.startswith(("PYTHON", "COV", "VIRTUAL"))]
    plant(whole, f"import os; assert not set(os.environ) & {set(hidden)}")

    result = generate(whole, **SHELL)

    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout


def test_project_environment(whole: Path) -> None:
    """Case 3: uv's environment is found where the shell says, and what was in it stays."""
    chosen = whole.parent / "the container's"
    run(UV, "venv", "--quiet", "--python", sys.executable, str(chosen), cwd=whole.parent)
    python = str(chosen / SCRIPTS.name / "python")
    run(UV, "pip", "install", "--quiet", "--python", python, "pyte", cwd=whole.parent)
    plant(whole, f"import pyte, sys; assert sys.prefix == {str(chosen)!r}")

    result = generate(whole, UV_PROJECT_ENVIRONMENT=str(chosen))

    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout
    assert not (whole.parent / "out/acme-mail/.venv").exists()


def test_workspace(whole: Path) -> None:
    """In a uv workspace the service is a member, and its owner hears of it."""
    plant(whole, "import fastapi")
    (whole.parent / "out").mkdir()
    root = whole.parent / "out/pyproject.toml"
    root.write_text('[tool.uv.workspace]\nmembers = ["*"]\n')

    result = generate(whole)

    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout
    assert f"a member of the workspace in {root}" in result.stdout


@pytest.mark.parametrize("out", ["with 'quotes\" and $HOME", "-dash", "../elsewhere"])
def test_cd(out: str, whole: Path) -> None:
    """Case 6: the printed command leads into the service from where cookiecutter was started."""
    plant(whole, "import fastapi")

    result = generate(whole, out=out)

    assert result.returncode == 0, result.stdout + result.stderr
    [command] = re.findall(r"^  (cd .*)$", result.stdout, re.MULTILINE)
    led = run("sh", "-c", f"{command}\npwd -P", cwd=whole.parent).rstrip("\n")
    assert Path(led) == (whole.parent / out / "acme-mail").resolve()
    shutil.rmtree(whole.parent / out)


@pytest.mark.parametrize("out", ["with 'quotes\" and $HOME", "./-dash"])
def test_cd_of_copier(out: str, template: Path, tmp_path: Path) -> None:
    """Case 6: and so does copier's."""
    command = [str(SCRIPTS / "copier"), "copy", "--defaults", str(template), out]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    [command_line] = re.findall(r"^ *(cd .*)$", result.stdout + result.stderr, re.MULTILINE)
    led = run("sh", "-c", f"{command_line}\npwd -P", cwd=tmp_path).rstrip("\n")
    assert Path(led) == (tmp_path / out).resolve()


def test_existing_service(template: Path, tmp_path: Path) -> None:
    """Case 9: `-f` does not mix a service with another, and changes nothing of it."""
    project = bake("cookiecutter", template, tmp_path / "out", {"queue_backend": "arq"})
    (project / ".env").write_text("PORT=8001\n")
    (project / "app/settings.py").write_text("# ours\n")
    before = tree(project)
    shutil.copytree(template, tmp_path / "template")

    result = generate(tmp_path / "template", "-f")

    assert result.returncode == 1
    assert result.stderr.startswith(f"{project} has a project already")
    assert "Traceback" not in result.stderr
    assert tree(project) == before
