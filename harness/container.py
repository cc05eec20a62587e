"""A service's containers without Docker: its Dockerfile and compose.yaml, followed by hand."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import yaml

from harness.bakery import UV, run

COPIED = [
    ["pyproject.toml", "uv.lock"],
    ["--from=build", "/service/.venv"],
    ["pyproject.toml"],
    ["app"],
    ["migrations"],
]
"""What the Dockerfile copies, which `build` does by hand."""
ALLOWED = {"app", "migrations", "pyproject.toml", "uv.lock"}
"""What `.dockerignore` lets in."""


def compose(project: Path) -> dict[str, dict[str, Any]]:
    """Read the services of a bake's compose file, with what they share filled in."""
    services: dict[str, dict[str, Any]] = yaml.safe_load((project / "compose.yaml").read_text())[
        "services"
    ]
    return services


def shell(check: list[str]) -> list[str]:
    """Return the command that Docker makes of a health check."""
    kind, *words = check
    words = [word.replace("$$", "$") for word in words]
    return ["sh", "-c", *words] if kind == "CMD-SHELL" else words


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Read a Dockerfile as pairs such as `("USER", "10001")`, in the order of its stages."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE).replace("\\\n", "")
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if line)
    return [(name, argument) for name, argument in pairs]


def final_stage(dockerfile: Path) -> dict[str, str]:
    """Return the instructions of the image itself; of those that occur twice, the last."""
    found = instructions(dockerfile)
    names = [name for name, _ in found]
    if names.count("FROM") != 2:
        raise ValueError(f"{dockerfile}: one stage builds and the other runs, not {names}")
    return dict(found[len(names) - names[::-1].index("FROM") - 1 :])


def build(project: Path, folder: Path, *options: str) -> Path:
    """Make a folder with what the image has in its own: the Dockerfile's steps, done by hand."""
    found = instructions(project / "Dockerfile")
    allowed = re.findall("^!(.+)$", (project / ".dockerignore").read_text(), re.MULTILINE)
    copied = [argument.split()[:-1] for name, argument in found if name == "COPY"]
    if copied != COPIED or set(allowed) != ALLOWED:
        raise ValueError(f"{project}: the image has other files: {copied}, {allowed}")
    [sync] = [argument for name, argument in found if name == "RUN" and "uv sync" in argument]

    folder.mkdir()
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(project / name, folder)
    run(UV, *sync.split()[1:], "--quiet", *options, cwd=folder)
    (folder / "uv.lock").unlink()
    for name in ("app", "migrations"):
        shutil.copytree(project / name, folder / name)
    return folder


def command(project: Path, port: int) -> list[str]:
    """Return the image's command, on a port of ours."""
    first, *rest = json.loads(final_stage(project / "Dockerfile")["CMD"])
    rest[rest.index("--host") + 1] = "127.0.0.1"
    rest[rest.index("--port") + 1] = str(port)
    return [f".venv/bin/{first}", *rest]
