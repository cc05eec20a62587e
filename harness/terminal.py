"""A person at a terminal, who waits for a question and types an answer."""

import os
import pty
import re
import signal
import subprocess
import termios
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import pyte

QUESTION_TIMEOUT = 300.0
"""Seconds until a question comes: on a fresh machine the tool itself is installed before."""

WIDTH, HEIGHT = 100, 400
CLEAR_LINE = "\x15"


class Terminal:
    """A command in a pseudo-terminal, and its screen as a person sees it."""

    def __init__(self, command: str, cwd: Path, env: Mapping[str, str]) -> None:
        """Start the command."""
        self._screen = pyte.Screen(WIDTH, HEIGHT)
        self._stream = pyte.ByteStream(self._screen)
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (HEIGHT, WIDTH))
        self._process = subprocess.Popen(
            ["sh", "-c", command],
            cwd=cwd,
            env={**env, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        os.set_blocking(self._ours, False)

    def __enter__(self) -> Self:
        """Do nothing: it runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the terminal, which ends what still runs in it."""
        os.close(self._ours)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def text(self) -> str:
        """Return what is on the screen."""
        lines = [line.rstrip() for line in self._screen.display]
        return "\n".join(lines).rstrip() + "\n"

    def wait(self, pattern: str) -> None:
        """Wait until the screen ends with this."""
        deadline = time.monotonic() + QUESTION_TIMEOUT
        while not re.search(rf"{pattern}\n\Z", self.text()):
            if not self._read() or time.monotonic() > deadline:
                raise TimeoutError(f"the screen never ended with {pattern!r}:\n{self.text()}")

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def end(self) -> int:
        """Wait for the end of the command; return its exit code."""
        deadline = time.monotonic() + QUESTION_TIMEOUT
        while self._read():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the command does not end:\n{self.text()}")
        return self._process.wait()

    def _read(self) -> bool:
        """Take in what was printed; say whether the command still runs."""
        try:
            if not (printed := os.read(self._ours, 65536)):
                return False
            self._stream.feed(printed)
        except BlockingIOError:
            time.sleep(0.05)
        except OSError:
            return False
        return True


def play(
    command: str, cwd: Path, env: Mapping[str, str], answers: Iterable[tuple[str, str]]
) -> tuple[int, str]:
    """Type an answer whenever its question ends the screen; return the exit code and the screen."""
    with Terminal(command, cwd, env) as terminal:
        for question, answer in answers:
            terminal.wait(rf"{question}[^\n]*")
            terminal.type(answer)
        return terminal.end(), terminal.text()
