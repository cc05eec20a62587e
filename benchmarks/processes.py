"""The processes of a measurement: the stand-in for PostStack, a service, a worker."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from harness.bakery import REPOSITORY, SCRIPTS, UV, bake, run
from harness.ports import free_port

SERVICES = Path(__file__).parent / "services"

MEASURED, OTHERS = 0, 1
"""The cores for what is measured, and for the load and the stand-in."""


def pin(core: int) -> None:
    """Keep this process on one core, where the machine allows it."""
    if hasattr(os, "sched_setaffinity"):
        with suppress(OSError):  # a machine with one core
            os.sched_setaffinity(0, {core})


@contextmanager
def beside() -> Iterator[None]:
    """Keep this process off the measured core until the block ends, or what this decorates."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    pin(OTHERS)
    try:
        yield
    finally:
        if cores:
            os.sched_setaffinity(0, cores)


@contextmanager
def process(
    command: Sequence[str], cwd: Path, core: int, **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a bake or here until the block ends."""
    environment = {**os.environ, "PYTHONPATH": f"{cwd}{os.pathsep}{SERVICES}", **settings}
    environment.pop("VIRTUAL_ENV", None)
    running = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: pin(core),  # noqa: PLW1509  there is no other thread
    )
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def wait_for(url: str, running: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers."""
    end = time.monotonic() + 30
    while True:
        with suppress(httpx.TransportError):
            httpx.get(url, verify=False)  # noqa: S501  our own, on this machine
            return
        if running.poll() is not None or time.monotonic() > end:
            raise TimeoutError(f"nobody answers at {url}: {running.args!r}")
        time.sleep(0.05)


class PostStack:
    """The stand-in, seen from here."""

    def __init__(self, url: str) -> None:
        """Find it at its address."""
        self.url = url

    def stats(self) -> dict[str, Any]:
        """Return what has arrived since `reset`."""
        found: dict[str, Any] = httpx.get(f"{self.url}/stats", verify=False).json()  # noqa: S501
        return found

    def reset(self) -> None:
        """Begin to count again."""
        httpx.delete(f"{self.url}/stats", verify=False)  # noqa: S501

    def wait_for_silence(self) -> None:
        """Wait until a second has passed without a mail."""
        before = -1
        while (mails := self.stats()["mails"]) != before:
            before = mails
            time.sleep(1)

    def wait_for(self, mails: int, seconds: float = 120) -> dict[str, Any]:
        """Wait until so many mails have arrived, and return what has."""
        end = time.monotonic() + seconds
        while (stats := self.stats())["mails"] < mails:
            if time.monotonic() > end:
                raise TimeoutError(f"{stats['mails']} of {mails} mails after {seconds} s")
            time.sleep(0.1)
        return stats


@contextmanager
def poststack(latency: float, tls: tuple[Path, Path] | None = None) -> Iterator[PostStack]:
    """Serve the stand-in with a latency in seconds."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.api", str(port), "--latency", str(latency)]
    command += ["--tls", *map(str, tls)] if tls else []
    with process(command, REPOSITORY, OTHERS) as running:
        url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        wait_for(f"{url}/stats", running)
        yield PostStack(url)


def client(api: str) -> dict[str, str]:
    """Return the settings that lead a service or a worker to the stand-in."""
    return {
        "FASTAPI_ENV": "development",
        "POSTSTACK_API_KEY": "sk_test_benchmark",
        "POSTSTACK_BASE_URL": api,
    }


def installed(backend: str, template: Path, folder: Path) -> Path:
    """Bake a service with this queue, and install it with its bytecode."""
    project = bake("cookiecutter", template, folder, {"queue_backend": backend})
    run(UV, "sync", "--quiet", "--compile-bytecode", cwd=project)
    return project


@contextmanager
def service(
    bake: Path, app: str, api: str, data: Path, **settings: str
) -> Iterator[tuple[int, int]]:
    """Serve an ASGI app with the bake's own packages; yields its port and its process's id."""
    port = free_port()
    settings = client(api) | {
        "DATABASE_URL": f"sqlite:///{data / f'{port}.sqlite3'}",
        "DATABASE_PATH": str(data / f"{port}.sqlite3"),  # in 0.2.0
        "CLIENT_SIGNUPS_PER_MINUTE": "1000000000",
        "RECIPIENT_SIGNUPS_PER_HOUR": "1000000000",
        **settings,
    }
    command = [str(bake / ".venv" / SCRIPTS.name / "uvicorn"), app, "--port", str(port)]
    with process(command, bake, MEASURED, **settings) as running:
        wait_for(f"http://127.0.0.1:{port}/healthz", running)
        yield port, running.pid


def resident(pid: int, field: str = "VmRSS") -> float:
    """Return a process's memory, in MB, or another of the fields in proc(5)."""
    [line] = [
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith(field)
    ]
    return int(line.split()[1]) / 1024


def cpu(pid: int) -> float:
    """Return the CPU seconds, user and system, that a process has used (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
