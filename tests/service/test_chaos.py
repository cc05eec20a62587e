"""A short run of the chaos that `benchmarks/chaos.py` describes; the long one is its default."""

import shutil
import sys

import pytest

from harness.bakery import REPOSITORY, Baker, run
from harness.brokers import PROGRAMS


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("kind", ["--quick", pytest.param("--idle", marks=pytest.mark.matrix)])
def test_nothing_is_lost_or_sent_twice(kind: str, backend: str, installed: Baker) -> None:
    """Killed workers, a killed broker and a failing PostStack cost no mail and double none."""
    if shutil.which(PROGRAMS[backend]) is None:
        pytest.skip(
            f"no {PROGRAMS[backend]} on the PATH, which the run starts and kills: install it"
        )
    chaos = (sys.executable, "-m", "benchmarks.chaos")

    print(run(*chaos, str(installed(backend)), kind, cwd=REPOSITORY))
