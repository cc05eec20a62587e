"""Every command in a README works as it is written."""

import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.bakery import REPOSITORY, UV, copy_template, run
from tests.brokers import broker
from tests.conftest import BACKEND, Baker
from tests.server import free_port, running


def commands(readme: Path) -> list[str]:
    """List the commands of the console blocks, in their order."""
    blocks = re.findall(r"^```console\n(.*?)^```", readme.read_text(), re.DOTALL | re.MULTILINE)
    return [line[2:] for block in blocks for line in block.splitlines() if line[:2] == "$ "]


def bare(home: Path) -> dict[str, str]:
    """Return the environment of a fresh machine: Python and the system's programs, no uv."""
    home.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("SSL_CERT_FILE",) if name in os.environ}
    path = f"{Path(sys.base_prefix, 'bin')}:/usr/local/bin:/usr/bin:/bin"
    return kept | {"HOME": str(home), "PATH": path}


def answer_all(command: str, cwd: Path, env: dict[str, str]) -> str:
    """Run a command in a terminal and press Enter whenever it waits; return what it printed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["sh", "-c", command],
        cwd=cwd,
        env=env | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    printed, last = b"", time.monotonic()
    while process.poll() is None:
        try:
            printed += os.read(ours, 65536)
            last = time.monotonic()
        except BlockingIOError:
            if time.monotonic() - last > 1:
                os.write(ours, b"\r")
                last = time.monotonic()
            time.sleep(0.05)
        except OSError:
            break
    assert process.wait() == 0, printed.decode()
    return printed.decode()


def test_repository(tmp_path: Path) -> None:
    """On a fresh machine the first command makes a tested service, and copier's one works, too."""
    generate, copy, test = commands(REPOSITORY / "README.md")
    clone = copy_template(tmp_path / "clone")
    env = bare(tmp_path / "home")

    printed = answer_all(generate, clone, env)
    assert re.search(r"\d+ passed", printed), printed
    assert (tmp_path / "acme-mail/uv.lock").is_file()

    answer_all(copy, clone, env)
    assert (tmp_path / "my-service/app/main.py").is_file()

    # This very run is the third command's, and CI's.
    assert test in (REPOSITORY / ".ci/run").read_text().splitlines()


@BACKEND
def test_service(backend: str, installed: Baker) -> None:
    """In a bake, the service starts, takes the signup, and the queue's commands do their work."""
    project = installed(backend)
    dev, signup, check, *rest = commands(project / "README.md")
    assert (dev, check) == ("uv run fastapi dev", "uv run poe check")  # `test_check` runs it
    port = str(free_port())
    url = f"http://127.0.0.1:{port}"

    with broker(backend, project) as settings:
        path = f"{Path(UV).parent}{os.pathsep}{os.environ['PATH']}"
        settings |= {"PORT": port, "PATH": path}
        with running(project, ["sh", "-c", dev], f"{url}/healthz", **settings):
            answer = run("sh", "-c", signup.replace("http://127.0.0.1:8000", url), cwd=project)
        assert re.fullmatch(r'\{"email_id":"em_\w+"\}', answer)
        assert "http://127.0.0.1:8000/sandbox/" in (project / "README.md").read_text()

        if backend == "none":
            assert rest == ["uvx copier update --data queue_backend=arq"]  # see `test_update`
            return
        worker, failed, requeue = rest
        assert worker == "uv run poe worker"  # `tests/test_service.py` runs it
        assert run("sh", "-c", failed, cwd=project, **settings).endswith("0 failed\n")
        assert "0 " in run("sh", "-c", requeue, cwd=project, **settings)
