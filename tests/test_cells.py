"""Every cell of the product is green with the packages that it installs."""

import re
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.bakery import UV, run, tree
from tests.cells import EACH_CELL, Cell
from tests.conftest import Baker, Brokers
from tests.server import free_port, running
from tests.test_container import build, command
from tests.test_gates import PRODUCTION


@EACH_CELL
def test_check(
    cell: Cell, installed: Baker, brokers: Brokers, record_property: Callable[[str, object], None]
) -> None:
    """Lint, format, strict types, tests and coverage are green as generated."""
    project = installed(*cell)
    before = tree(project)

    # poe runs its tasks with `uv run`, which would install what is newest instead.
    settings = brokers(cell.backend).of_tests() | {"UV_NO_SYNC": "1"}
    printed = run(UV, "run", "--no-sync", "poe", "check", cwd=project, **settings)

    assert f" -- Python {cell.python}." in printed
    assert not re.search(r"\d+ skipped", printed), printed
    assert tree(project) == before
    [passed] = re.findall(r"(\d+) passed", printed)
    [coverage] = re.findall(r"Total coverage: ([\d.]+)%", printed)
    record_property("tests", f"{passed} passed")
    record_property("coverage", f"{coverage} %")


@EACH_CELL
def test_lock(cell: Cell, installed: Baker) -> None:
    """The lock file is in step with the project."""
    run(UV, "lock", "--check", f"--resolution={cell.resolution}", cwd=installed(*cell))


@EACH_CELL
def test_starts(cell: Cell, installed: Baker, tmp_path: Path) -> None:
    """Installed as the image is, with these packages and no tools, it starts in production."""
    project = installed(*cell)
    chosen = ("--python", str(project / ".venv/bin/python"), f"--resolution={cell.resolution}")
    image = build(project, tmp_path / "service", "--no-editable", *chosen)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    # Nobody is there: the service starts all the same, and answers 503 until somebody is.
    nobody = {
        "REDIS_URL": "redis://:secret@127.0.0.1:1/0",
        "BROKER_URL": "amqp://acme:secret@127.0.0.1:1/acme",
    }

    with running(image, command(project, port), f"{url}/healthz", **PRODUCTION, **nobody):
        assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
        assert httpx.get(f"{url}/readyz").status_code == (200 if cell.backend == "none" else 503)
        assert httpx.get(f"{url}/sandbox/").status_code == 404
