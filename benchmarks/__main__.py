"""Measure the generated service and its workers against their goals.

    uv run python -m benchmarks [PART ...] [--rounds 5] [--seconds 10] [--wide] [--plot FILE]

The parts are signup, notify, memory, queues, batch and generation; without one, all of them. It
bakes and installs the services that it measures. What is compared is measured side by side, one
after the other in each round, and the ratio of the medians counts. `--wide` adds a table of all
services, numbers of callers and latencies.
The exit code is 1 when a goal is missed.

The measured process has one core, and all else the other: run it on an idle machine.
"""

import argparse
import math
import operator
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks import generation, notify, queues, signup
from benchmarks.processes import installed
from benchmarks.signup import Cell, Figures
from harness.bakery import copy_template

CALLERS = (1, 16, 64, 256)
FEW = 3
"""Rounds of what varies little, or takes long."""

COMPARE = {"<=": operator.le, ">=": operator.ge}


class Row(NamedTuple):
    """A figure and its goal, if it has one."""

    what: str
    value: float
    sign: str = ""
    goal: float = 0
    detail: str = ""

    @property
    def met(self) -> bool:
        """Whether the figure is as it should be."""
        return not self.sign or bool(COMPARE[self.sign](self.value, self.goal))

    def cells(self) -> str:
        """Write it as a row of the table."""
        verdict = ("yes" if self.met else "**no**") if self.sign else ""
        goal = f"{self.sign} {self.goal:g}" if self.sign else "none"
        return f"| {self.what} | {self.value:.2f} | {goal} | {verdict} | {self.detail} |"


class Run:
    """One run: the bakes, and how long to measure."""

    def __init__(self, folder: Path, rounds: int, seconds: float) -> None:
        """Keep bakes and data in a folder."""
        self.rounds = rounds
        self.seconds = seconds
        self._folder = folder
        self._bakes: dict[str, Path] = {}
        self._template = copy_template(folder / "template", post_gen=False)
        self.data = folder / "data"
        self.data.mkdir()

    def bake(self, backend: str) -> Path:
        """Return the installed service with this queue."""
        if backend not in self._bakes:
            self._bakes[backend] = installed(backend, self._template, self._folder / backend)
        return self._bakes[backend]


def measure_signup(run: Run) -> Iterator[Row]:
    """Yield what the client and the route are worth."""
    latency = 0.02
    cells = [Cell(*pair, latency) for pair in product(("ours", "guide"), (1, 64, 256))]
    cells += [Cell(name, 64, latency) for name in ("raw aiohttp", "transport")]
    cells += [Cell("no send", callers, latency) for callers in (64, 256)]
    found = signup.measure(run.bake("none"), run.data, cells, run.rounds, run.seconds)

    def pair(other: str, callers: int) -> tuple[Figures, Figures]:
        return found[Cell("ours", callers, latency)], found[Cell(other, callers, latency)]

    for callers, goal in ((64, 4.5), (256, 8.0)):
        ours, guide = pair("guide", callers)
        detail = f"{ours.rate:.0f} against {guide.rate:.0f} a second"
        yield Row(f"/signup, {callers} callers, guide", ours.rate / guide.rate, ">=", goal, detail)
        silent = found[Cell("no send", callers, latency)]
        detail = f"{silent.rate:.0f} against {guide.rate:.0f} a second: the most that there is"
        yield Row("the same if it sent nothing", silent.rate / guide.rate, detail=detail)
    ours, guide = pair("guide", 64)
    detail = f"{ours.p99:.0f} against {guide.p99:.0f} ms"
    yield Row("its p99, 64 callers, guide", ours.p99 / guide.p99, "<=", 0.15, detail)
    ours, raw = pair("raw aiohttp", 64)
    detail = f"{ours.rate:.0f} against {raw.rate:.0f} a second"
    yield Row("/signup, 64 callers, raw aiohttp", ours.rate / raw.rate, ">=", 0.8, detail)
    ours, seam = pair("transport", 64)
    detail = f"{ours.rate:.0f} against {seam.rate:.0f} a second"
    yield Row("/signup, 64 callers, a transport of httpx's", ours.rate / seam.rate, detail=detail)
    ours, guide = pair("guide", 1)
    detail = f"{ours.p50:.1f} against {guide.p50:.1f} ms"
    yield Row("its p50, one caller, guide", ours.p50 / guide.p50, "<=", 1.05, detail)


def measure_notify(run: Run) -> Iterator[Row]:
    """Yield what becomes of mail in the background, and of connections."""
    none, app, guide = run.bake("none"), "app.main:app", "reference:app"
    counts = [notify.connections(none, run.data, app) for _ in range(FEW)]
    detail = f"the guide's service has {notify.connections(none, run.data, guide)}"
    yield Row("connections, 32 callers, TLS, 200 ms", median(counts), "<=", 32, detail)
    found = [notify.notices(none, run.data, app) for _ in range(FEW)]
    theirs = notify.notices(none, run.data, guide)
    share = median(notices.sent / notices.accepted for notices in found)
    last = found[-1]
    detail = f"last {last.sent} of {last.accepted}; the guide's {theirs.sent / theirs.accepted:.2f}"
    yield Row("/notify: sent of accepted", share, ">=", 0.99, detail)
    detail = f"the guide's service {theirs.grown_mb:.0f}"
    grown = median(notices.grown_mb for notices in found)
    yield Row("its growth in memory, MB", grown, "<=", 50, detail)
    slow = [notify.notices(none, run.data, app, seconds=5, latency=2).refused for _ in range(FEW)]
    slowest = median(max(refused, default=math.inf) for refused in slow)  # none would show nothing
    detail = f"last {len(slow[-1])} refused"
    yield Row("its slowest 503, API 2 s, ms", slowest, "<=", 1000, detail)


def measure_memory(run: Run) -> Iterator[Row]:
    """Yield what an idle process holds."""
    apps = ("app.main:app", "sdk:app", "bare:app")
    none = run.bake("none")
    rounds = [[notify.memory(none, run.data, app) for app in apps] for _ in range(FEW)]
    ours, sdk, bare = map(median, zip(*rounds, strict=True))
    detail = f"{ours:.1f} against {bare:.1f} MB"
    yield Row("idle memory, bare FastAPI and httpx", ours / bare, "<=", 1.2, detail)
    detail = f"{sdk:.1f} against {bare:.1f} MB"
    yield Row("idle memory over the SDK as it comes, the same", sdk / bare, detail=detail)


def measure_queues(run: Run) -> Iterator[Row]:
    """Yield what the workers are worth."""
    arq, celery = run.bake("arq"), run.bake("celery")
    pairs = [(queues.rate(arq, "arq", 2000), queues.bare(arq, 2000)) for _ in range(run.rounds)]
    worker, bare = (median(column) for column in zip(*pairs, strict=True))
    detail = f"{worker:.0f} against {bare:.0f} emails a second"
    yield Row("arq's worker, a bare loop", worker / bare, ">=", 0.7, detail)
    for backend, project in (("arq", arq), ("celery", celery)):
        milliseconds = queues.delay(project, backend)
        yield Row(f"idle {backend}: accepted to POST, ms", milliseconds, "<=", 50, "median of 60")
    for pool, options in queues.POOLS.items():
        emails = queues.rate(celery, "celery", 400, options)
        yield Row(f"Celery, {pool}: emails a second", emails)
    prefork = queues.POOLS["prefork, 4"]
    for what, jobs in {
        "arq": queues.rate(arq, "arq", 2000, sends=False),
        "Celery, prefork, 4": queues.rate(celery, "celery", 2000, prefork, sends=False),
    }.items():
        yield Row(f"{what}, sending nothing: jobs a second", jobs, detail="batches at most")


def measure_batch(run: Run) -> Iterator[Row]:
    """Yield what a call with a hundred messages is worth."""
    none = run.bake("none")
    pairs = [(queues.batch(none, 10_000), queues.bare(none, 2000, 64)) for _ in range(run.rounds)]
    batch, single = (median(column) for column in zip(*pairs, strict=True))
    detail = f"{batch:.0f} against {single:.0f} emails a second"
    yield Row("batches one by one, 64 single sends", batch / single, detail=detail)


def measure_generation(run: Run) -> Iterator[Row]:
    """Yield what the proof at the end of generation costs."""
    generated, alone = map(median, generation.measure(run.rounds))
    detail = f"{generated:.1f} against {alone:.1f} s"
    yield Row("generation, uv sync and pytest", generated / alone, "<=", 1.3, detail)


PARTS: dict[str, Callable[[Run], Iterator[Row]]] = {
    "signup": measure_signup,
    "notify": measure_notify,
    "memory": measure_memory,
    "queues": measure_queues,
    "batch": measure_batch,
    "generation": measure_generation,
}


def plot(found: dict[Cell, Figures], file: Path) -> None:
    """Draw requests a second over the number of callers."""
    figure, axes = import_module("matplotlib.pyplot").subplots(figsize=(7, 4))
    for name in signup.SERVICES:
        points = sorted((c.callers, f.rate) for c, f in found.items() if c[::2] == (name, 0.02))
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.set(xscale="log", xlabel="callers", ylabel="POST /signup a second, API 20 ms")
    axes.legend()
    figure.savefig(file, bbox_inches="tight")


def main() -> None:
    """Print a row when it is known, and the table at the end."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], help="without one, all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    if options.plot and not find_spec("matplotlib"):
        parser.error("--plot needs matplotlib: `uv run --with matplotlib python -m benchmarks`")
    say = partial(print, flush=True)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), options.rounds, options.seconds)
        for part in options.part or PARTS:
            for row in PARTS[part](run):
                rows.append(row)
                say(f"{part}: {row.what}: {row.value:.2f} ({row.detail})")
        if options.wide or options.plot:
            cells = [Cell(*cell) for cell in product(signup.SERVICES, CALLERS, (0.0, 0.02))]
            wide = signup.measure(run.bake("none"), run.data, cells, 3, 3)
            say(f"\n{signup.table(wide)}")
            if options.plot:
                plot(wide, options.plot)
    say("\n| what, against what | measured | goal | met | |\n|---|---|---|---|---|")
    for row in rows:
        say(row.cells())
    if not all(row.met for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
