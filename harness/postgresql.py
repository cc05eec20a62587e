"""A PostgreSQL to start, to kill and to start again on the same data."""

import os
import pwd
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from harness.ports import free_port
from harness.processes import Process, until

USERS = ("postgres", "nobody")
"""Whom it runs as if we are root, as whom it refuses to."""


def programs() -> Path | None:
    """Find the folder of `postgres` and `initdb`, of which Debian puts neither on the PATH."""
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin/"), default=None, key=version)


def version(folder: Path) -> int:
    """Return the major version from a path such as `/usr/lib/postgresql/15/bin`."""
    return int(folder.parent.name)


def unprivileged() -> str | None:
    """Return the user to run as, or nothing for ourselves."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in USERS if name in known)


class PostgreSQL:
    """PostgreSQL as it comes: what it has committed outlives it."""

    def __init__(self, folder: Path) -> None:
        """Create the data in a folder, and choose a port."""
        binaries = programs()
        if binaries is None:
            raise SystemExit(
                "no PostgreSQL here: install its server, or put `postgres` on the PATH"
            )
        user, data = unprivileged(), folder / "postgresql"
        data.mkdir(mode=0o700)
        if user:
            shutil.chown(data, user)
            folder.chmod(folder.stat().st_mode | 0o711)  # the way to the data
        create = [str(binaries / "initdb"), "--auth=trust", "--username=mail", f"--pgdata={data}"]
        subprocess.run(create, cwd=data, user=user, check=True, capture_output=True)
        port = free_port()
        command = [str(binaries / "postgres"), "-D", str(data), "-p", str(port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        self.process = Process("postgresql", command, folder, {}, data, user=user)
        self.environment = {"DATABASE_URL": f"postgresql://mail@127.0.0.1:{port}/postgres"}
        self._ready = [str(binaries / "pg_isready"), "-q", "-d", self.environment["DATABASE_URL"]]

    def start(self) -> None:
        """Start it, and wait until it answers."""
        until(self._answers, "PostgreSQL")

    def _answers(self) -> bool:
        # After a kill it ends again for as long as children of the one before use their memory.
        if not self.process.running():
            self.process.start()
        return subprocess.run(self._ready, check=False).returncode == 0

    def kill(self) -> None:
        """Kill it; its children have groups of their own, and end when they miss it."""
        self.process.kill()

    def close(self) -> None:
        """Stop it: killed, it would leave shared memory behind."""
        self.process.signal(signal.SIGINT)  # its "fast" shutdown
        with suppress(TimeoutError):
            until(lambda: not self.process.running(), "the end of PostgreSQL", 20)
        self.process.kill()
