"""`POST /notify` under load, and the connections and the memory of the service."""

import subprocess
from pathlib import Path
from typing import NamedTuple

from benchmarks.load import load
from benchmarks.processes import beside, poststack, resident, service
from benchmarks.signup import person
from harness.server import AUTHORIZED

KEY = AUTHORIZED["Authorization"].removeprefix("Bearer ")


class Notices(NamedTuple):
    """What became of the notices."""

    accepted: int
    sent: int
    """When the load stopped."""
    refused: list[float]
    """How many milliseconds each 503 took."""
    grown_mb: float
    """The process's memory when the load stopped, less before."""


@beside()
def notices(
    bake: Path, folder: Path, app: str, *, seconds: float = 12, latency: float = 0.02
) -> Notices:
    """Post notices with 64 callers, while PostStack takes its time."""
    with poststack(latency) as api, service(bake, app, api.url, folder) as (port, pid):
        load(port, "/notify", callers=16, seconds=1, body=person, key=KEY)
        api.wait_for_silence()
        api.reset()
        before = resident(pid)
        found: list[tuple[int, float]] = []

        def look() -> None:
            found.append((api.stats()["mails"], resident(pid)))

        outcome = load(
            port, "/notify", callers=64, seconds=seconds, body=person, key=KEY, at_end=look
        )
        if outcome.errors:
            raise RuntimeError(f"{outcome.errors} errors")
        [(sent, memory)] = found
        refused = [each * 1000 for each in outcome.refused]
        return Notices(len(outcome.latencies), sent, refused, memory - before)


@beside()
def connections(bake: Path, folder: Path, app: str, seconds: float = 5) -> int:
    """Count the connections to a PostStack with TLS and 200 ms, at 32 callers."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    files = [
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-out",
        str(certificate),
        "-keyout",
        str(key),
    ]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    with (
        poststack(0.2, (certificate, key)) as api,
        service(bake, app, api.url, folder, SSL_CERT_FILE=str(certificate)) as (port, _),
    ):
        outcome = load(port, "/signup", callers=32, seconds=seconds, body=person)
        if outcome.errors or not outcome.latencies:
            raise RuntimeError(f"{outcome.errors} errors")
        return int(api.stats()["connections"])


def memory(bake: Path, folder: Path, app: str) -> float:
    """Return the memory of an idle process, in MB."""
    with service(bake, app, "http://127.0.0.1:9", folder) as (_, pid):
        return resident(pid)
