"""`POST /signup` under load, against the service that the template made at another commit.

    uv run python -m benchmarks.before COMMIT [--callers 64] [--rounds 5] [--seconds 10]

Today's service runs on SQLite, and once more on a PostgreSQL that this starts. All are measured in
each round, one after the other. The rates of a busy machine swing; CPU time for each request, user
and system, swings less.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from benchmarks.load import load
from benchmarks.processes import beside, cpu, installed, poststack, service
from benchmarks.signup import person
from harness.bakery import REPOSITORY, UV, copy_template, run
from harness.postgresql import PostgreSQL

API_LATENCY = 0.02
"""Seconds that the stand-in for PostStack takes for an answer."""


def checked_out(commit: str, folder: Path) -> Path:
    """Clone this repository at a commit, without the hook that tests a new service."""
    run("git", "clone", "--quiet", str(REPOSITORY), str(folder), cwd=REPOSITORY)
    run("git", "checkout", "--quiet", commit, cwd=folder)
    (folder / "hooks/post_gen_project.py").unlink()
    return folder


@contextmanager
def migrated(project: Path, folder: Path) -> Iterator[dict[str, str]]:
    """Start a PostgreSQL with the service's tables; gives the setting."""
    postgresql = PostgreSQL(folder)
    try:
        postgresql.start()
        settings = postgresql.environment
        environment = {"FASTAPI_ENV": "development", **settings}
        run(UV, "run", "alembic", "upgrade", "heads", cwd=project, **environment)
        yield settings
    finally:
        postgresql.close()


@beside()
def measure(
    bakes: dict[str, Path], folder: Path, callers: int, rounds: int, seconds: float
) -> dict[str, tuple[float, float]]:
    """Return each service's medians: requests a second, and CPU milliseconds for a request."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with ExitStack() as stack:
        api = stack.enter_context(poststack(API_LATENCY))
        running = {
            name: stack.enter_context(service(project, "app.main:app", api.url, folder))
            for name, project in bakes.items()
        }
        settings = stack.enter_context(migrated(bakes["now"], folder.parent))
        now = service(bakes["now"], "app.main:app", api.url, folder, **settings)
        running["now, PostgreSQL"] = stack.enter_context(now)
        for port, _ in running.values():  # bytecode, templates, connections
            load(port, "/signup", callers=16, seconds=1, body=person)
        for number in range(rounds):
            order = list(running.items())[:: -1 if number % 2 else 1]
            for name, (port, pid) in order:
                before = cpu(pid)
                outcome = load(port, "/signup", callers=callers, seconds=seconds, body=person)
                if outcome.errors or outcome.refused:
                    raise RuntimeError(f"{name}: {outcome.errors} errors")
                used = (cpu(pid) - before) / len(outcome.latencies)
                found[name].append((outcome.rate, used * 1000))
    return {
        name: (median(rate for rate, _ in rows), median(used for _, used in rows))
        for name, rows in found.items()
    }


def main() -> None:
    """Print both services' figures, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("commit")
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        templates = {
            "now": copy_template(folder / "now", post_gen=False),
            "before": checked_out(options.commit, folder / "before"),
        }
        bakes = {
            name: installed("none", template, folder / "bakes" / name)
            for name, template in templates.items()
        }
        (folder / "data").mkdir()
        found = measure(bakes, folder / "data", options.callers, options.rounds, options.seconds)
    for name, (rate, milliseconds) in found.items():
        print(f"{name}: {rate:.0f} requests a second, {milliseconds:.2f} ms of CPU for each")
    for name, other in (("now", "before"), ("now, PostgreSQL", "now")):
        rate, used = (mine / theirs for mine, theirs in zip(found[name], found[other], strict=True))
        print(f"{name} against {other}: {rate:.2f} times the requests, {used:.2f} times the CPU")


if __name__ == "__main__":
    main()
