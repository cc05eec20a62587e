"""A Docker engine, and the containers of a service on it."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

ERASE = re.compile(r"\x1b\[\d*K")
"""What Compose writes before the first line of a container, even where no terminal is."""


def missing() -> str | None:
    """Return what this machine lacks to run containers, or nothing if it lacks nothing."""
    if shutil.which("docker") is None:
        return "no docker on the PATH: install Docker"
    for command, what in (("info", "Docker engine"), ("compose version", "Docker Compose")):
        asked = ["docker", *command.split()]
        if subprocess.run(asked, capture_output=True, check=False).returncode != 0:
            return f"no {what} answers: see `docker {command}`"
    return None


def docker(*arguments: str, cwd: Path | None = None) -> str:
    """Run a command of Docker; return what it printed, both streams, which a failure shows."""
    done = subprocess.run(
        ["docker", *arguments],
        cwd=cwd,
        env=os.environ | {"DOCKER_BUILDKIT": "1"},  # what engines before version 23 must be told
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"docker {' '.join(arguments)}\n{done.stdout}")
    return done.stdout


def image(reference: str) -> dict[str, Any]:
    """Read what the engine knows of an image."""
    found: dict[str, Any] = json.loads(docker("image", "inspect", reference))[0]
    return found


class Compose:
    """A service's `compose.yaml`, with override files, under a name that nobody else has."""

    def __init__(self, project: Path, name: str, overrides: list[str]) -> None:
        """Write the override files into the service's folder."""
        self._project = project
        self._command = ["compose", "--project-name", name, "--ansi", "never"]
        self._command += ["--file", "compose.yaml"]
        for number, override in enumerate(overrides):
            file = project / f"override-{number}.yaml"
            file.write_text(override)
            self._command += ["--file", file.name]

    def __call__(self, *arguments: str) -> str:
        """Run a command of Docker Compose."""
        return docker(*self._command, *arguments, cwd=self._project)

    def up(self, *options: str) -> None:
        """Start what does not run, and wait until all of it is healthy; a failure shows the logs.

        What the machine lacks is only built once, by `build`.
        """
        try:
            self("up", "--detach", "--wait", "--no-build", *options)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{self('logs')}") from None

    def logs(self, service: str) -> list[str]:
        """Return the lines that the containers of one service have logged."""
        printed = self("logs", "--no-log-prefix", "--no-color", service)
        return ERASE.sub("", printed).splitlines()

    def containers(self, service: str) -> list[dict[str, Any]]:
        """Describe the containers of one service that run."""
        lines = self("ps", "--format", "json", service).splitlines()
        return [json.loads(line) for line in lines]

    def remove(self) -> None:
        """Leave nothing of it behind."""
        self("down", "--volumes", "--remove-orphans", "--rmi", "local", "--timeout", "1")
