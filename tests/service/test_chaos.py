"""Short runs of `benchmarks/chaos.py` and `benchmarks/machines.py`, which say what they do."""

import shutil
import sys

import pytest

from harness import postgresql
from harness.bakery import REPOSITORY, Baker, run
from harness.brokers import PROGRAMS


def skip_without_broker(backend: str) -> None:
    """Skip what cannot start a broker of its own."""
    if shutil.which(PROGRAMS[backend]) is None:
        pytest.skip(
            f"no {PROGRAMS[backend]} on the PATH, which the run starts and kills: install it"
        )


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("kind", ["--quick", pytest.param("--idle", marks=pytest.mark.matrix)])
def test_nothing_is_lost_or_sent_twice(kind: str, backend: str, installed: Baker) -> None:
    """Killed workers, a killed broker and a failing PostStack cost no mail and double none."""
    skip_without_broker(backend)
    chaos = (sys.executable, "-m", "benchmarks.chaos")

    print(run(*chaos, str(installed(backend)), kind, cwd=REPOSITORY))


@pytest.mark.parametrize("backend", PROGRAMS)
def test_machines_agree(backend: str, installed: Baker) -> None:
    """Three APIs and two workers on a PostgreSQL, all killed, do neither, and tell one story."""
    skip_without_broker(backend)
    if postgresql.programs() is None:
        pytest.skip(
            "no PostgreSQL on the PATH or in /usr/lib/postgresql, which the run starts and kills: "
            "install it"
        )
    machines = (sys.executable, "-m", "benchmarks.machines")

    print(run(*machines, str(installed(backend)), "--quick", cwd=REPOSITORY))
