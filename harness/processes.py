"""Programs that a test or a benchmark starts, freezes, kills and starts again."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait for a condition; raises `TimeoutError` with what it was."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


class Process:
    """A program in a process group of its own, which can be killed, frozen and started again."""

    def __init__(  # noqa: PLR0913  as `subprocess` has them
        self,
        name: str,
        command: list[str],
        folder: Path,
        environment: dict[str, str],
        cwd: Path,
        *,
        user: str | None = None,
    ) -> None:
        """Say what to run, and as whom if not as ourselves; `folder` is for its log."""
        self.log = folder / f"{name}.log"
        self._command = command
        self._environment = os.environ | environment
        self._cwd = cwd
        self._user = user
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; what it prints is appended to its log."""
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self._command,
                cwd=self._cwd,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=self._user,
            )

    def running(self) -> bool:
        """Tell whether it runs."""
        return self._popen is not None and self._popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group."""
        if self._popen is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._popen.pid, number)

    def kill(self) -> None:
        """Kill the whole group, and wait."""
        if popen := self._popen:  # a supervisor may start the next one before this returns
            with suppress(ProcessLookupError):
                os.killpg(popen.pid, signal.SIGKILL)
            popen.wait()
