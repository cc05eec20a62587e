"""Measure what callers meet while the broker is away: refused, or silent.

    uv run python -m benchmarks.broker_away BAKE [--seconds 10]

BAKE is a generated and installed service with the queue arq or celery. It is started with a broker
that does not exist, and then with one that accepts connections and never says a word. Ten receipts
a second are posted, and `/healthz` is asked every 10 ms over a connection of its own.
"""

import argparse
import asyncio
import socket
import statistics
import time
from collections.abc import Awaitable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from benchmarks.stage import backend_of
from harness.ports import free_port
from harness.server import AUTHORIZED, running

URLS = {
    "arq": ("REDIS_URL", "redis://127.0.0.1:{}/1"),
    "celery": ("BROKER_URL", "amqp://guest:guest@127.0.0.1:{}//"),
}
ORDER = {
    "recipient": "ada@example.com",
    "lines": [{"description": "Tea", "amount": "7.50"}],
    "total": "7.50",
}


async def timed(request: Awaitable[httpx.Response]) -> tuple[int, float]:
    """Return the status of an answer and the seconds that it took."""
    start = time.perf_counter()
    response = await request
    return response.status_code, time.perf_counter() - start


async def load(url: str, seconds: float) -> tuple[list[float], list[tuple[int, float]]]:
    """Post receipts and ask for health for some seconds; return how long both took."""
    async with (
        httpx.AsyncClient(base_url=url, timeout=30) as poster,
        httpx.AsyncClient(base_url=url, timeout=30) as asker,
    ):

        async def post(number: int) -> tuple[int, float]:
            order = ORDER | {"order_id": str(number)}
            return await timed(poster.post("/receipts", json=order, headers=AUTHORIZED))

        health: list[float] = []
        posts: list[asyncio.Task[tuple[int, float]]] = []
        start = time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            if len(posts) < elapsed * 10:
                posts.append(asyncio.create_task(post(len(posts))))
            health.append((await timed(asker.get("/healthz")))[1])
            await asyncio.sleep(0.01)
        return health, await asyncio.gather(*posts)


def main() -> None:
    """Print a row for each way of being away."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bake", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    project = options.bake.resolve()
    backend = backend_of(project)
    variable, pattern = URLS[backend]
    print(f"{backend}: the broker is   /healthz p50   p99 ms   receipts   slowest 503")
    for away in ("refused", "silent"):
        with (
            closing(socket.create_server(("127.0.0.1", 0))) as listener,
            TemporaryDirectory() as data,
        ):
            broker = listener.getsockname()[1]
            if away == "refused":
                listener.close()
            url = f"http://127.0.0.1:{free_port()}"
            settings = {
                "FASTAPI_ENV": "development",
                "PORT": url.rpartition(":")[2],
                "DATABASE_URL": f"sqlite:///{data}/service.sqlite3",
                variable: pattern.format(broker),
            }
            command = [".venv/bin/fastapi", "run"]
            with running(project, command, f"{url}/healthz", **settings) as log:
                health, posts = asyncio.run(load(url, options.seconds))
            log.unlink()
        centiles = statistics.quantiles(health, n=100)
        if {status for status, _ in posts} != {503}:
            raise SystemExit(f"not every receipt was refused: {posts}")
        print(
            f"{away:>22} {centiles[49] * 1000:15.1f} {centiles[98] * 1000:8.1f}"
            f" {len(posts):10} {max(seconds for _, seconds in posts):11.2f} s"
        )


if __name__ == "__main__":
    main()
