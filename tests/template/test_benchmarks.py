"""The benchmarks run; whether goals are met is for an idle machine to say."""

import re
import subprocess
import sys

import pytest

from harness.bakery import REPOSITORY, environment


@pytest.mark.matrix
def test_signup() -> None:
    """A short run prints its table."""
    command = (sys.executable, "-m", "benchmarks", "signup", "--rounds=1", "--seconds=1")
    result = subprocess.run(
        command, cwd=REPOSITORY, env=environment(), capture_output=True, text=True, check=False
    )

    assert result.returncode in {0, 1}, result.stderr
    rows = re.findall(r"^\| (.+?) \| \d+\.\d\d \| [<>]= [\d.]+ \| ", result.stdout, re.MULTILINE)
    assert len(rows) == 5, result.stdout + result.stderr
