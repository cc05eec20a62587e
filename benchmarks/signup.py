"""`POST /signup` under load, against the guide's service and against the practical limit."""

import statistics
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.load import load
from benchmarks.processes import beside, poststack, service

SERVICES = {
    "ours": "app.main:app",
    "guide": "reference:app",
    "raw aiohttp": "raw:app",
    "transport": "transport:app",
    "sync in def": "blocking:app",
    "client per request": "per_request:app",
    "no send": "no_send:app",
}


class Cell(NamedTuple):
    """One service under one load."""

    name: str
    callers: int
    latency: float


class Figures(NamedTuple):
    """Medians over the rounds: requests a second, and milliseconds."""

    rate: float
    p50: float
    p99: float


def person(number: int) -> dict[str, Any]:
    """Be somebody else in each request."""
    return {"email": f"ada.{number}.{time.time_ns()}@acme.dev", "name": "Ada"}


@beside()
def measure(
    bake: Path, folder: Path, cells: Iterable[Cell], rounds: int, seconds: float
) -> dict[Cell, Figures]:
    """Load one cell after the other, all of them in each round."""
    cells = list(cells)
    rows: dict[Cell, list[Figures]] = defaultdict(list)
    for latency in sorted({cell.latency for cell in cells}):
        here = [cell for cell in cells if cell.latency == latency]
        with ExitStack() as stack:
            api = stack.enter_context(poststack(latency))
            ports = {
                name: stack.enter_context(service(bake, SERVICES[name], api.url, folder))[0]
                for name in dict.fromkeys(cell.name for cell in here)
            }
            for port in ports.values():  # bytecode, templates, connections
                load(port, "/signup", callers=16, seconds=1, body=person)
            for _ in range(rounds):
                for cell in here:
                    outcome = load(
                        ports[cell.name],
                        "/signup",
                        callers=cell.callers,
                        seconds=seconds,
                        body=person,
                    )
                    if outcome.errors or outcome.refused:
                        raise RuntimeError(f"{cell}: {outcome.errors} errors")
                    figures = (outcome.rate, outcome.percentile(50), outcome.percentile(99))
                    rows[cell].append(Figures(figures[0], figures[1] * 1000, figures[2] * 1000))
    return {
        cell: Figures(*(statistics.median(column) for column in zip(*found, strict=True)))
        for cell, found in rows.items()
    }


def table(found: dict[Cell, Figures]) -> str:
    """Write requests a second and milliseconds, a line for each service and latency."""
    lines = [
        "| service | API | callers | requests/s | p50 ms | p99 ms |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {cell.name} | {cell.latency * 1000:.0f} ms | {cell.callers} | {figures.rate:.0f} |"
        f" {figures.p50:.1f} | {figures.p99:.1f} |"
        for cell, figures in sorted(found.items(), key=lambda item: (item[0][2], item[0][1]))
    ]
    return "\n".join(lines)
