"""The image, as far as it goes without Docker: linted, and its steps executed one by one."""

import re
import shutil
import sys
from pathlib import Path

import httpx

from tests.bakery import UV, run
from tests.conftest import BACKEND, Baker
from tests.server import free_port, running

SCRIPTS = Path(sys.executable).parent


@BACKEND
def test_hadolint(backend: str, baked: Baker) -> None:
    """The Dockerfile follows the field's rules."""
    run(str(SCRIPTS / "hadolint"), "Dockerfile", cwd=baked("cookiecutter", backend))


@BACKEND
def test_compose(backend: str, baked: Baker) -> None:
    """The compose file fits the Compose specification."""
    schema = "--builtin-schema=vendor.compose-spec"
    run(
        str(SCRIPTS / "check-jsonschema"),
        schema,
        "compose.yaml",
        cwd=baked("cookiecutter", backend),
    )


def test_image(installed: Baker, tmp_path: Path) -> None:
    """What the Dockerfile copies and installs starts in production: no sandbox, no tests."""
    project = installed()
    stage = (project / "Dockerfile").read_text().partition("\nFROM")[0]
    copied = " ".join(re.findall(r"^COPY (.+) \S+$", stage, re.MULTILINE))
    ignored = (project / ".dockerignore").read_text()
    sources, allowed = set(copied.split()), set(re.findall("^!(.+)$", ignored, re.MULTILINE))
    assert sources == allowed == {"app", "pyproject.toml", "uv.lock"}

    image = tmp_path / "service"
    for name in sources:
        if (project / name).is_dir():
            shutil.copytree(project / name, image / name)
        else:
            image.mkdir(exist_ok=True)
            shutil.copy(project / name, image)
    run(UV, "sync", "--quiet", "--locked", "--no-dev", cwd=image)
    assert not list(image.glob(".venv/lib/*/site-packages/pytest"))

    url = f"http://127.0.0.1:{free_port()}"
    command = [".venv/bin/fastapi", "run", "--port", url.rpartition(":")[2]]
    settings = {
        "POSTSTACK_API_KEY": "sk_live_1",
        "POSTSTACK_WEBHOOK_SECRET": "whsec_1",
        "SENDER_EMAIL": "hello@acme.dev",
    }
    with running(image, command, f"{url}/healthz", **settings):
        assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
        assert httpx.get(f"{url}/sandbox/").status_code == 404
