"""The clean template and its bakes, made once for all test processes."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bakery import BACKENDS, UV, bake, copy_template, find_python, run

Baker = Callable[..., Path]

# One process of xdist for each queue: two runs at once would meet in one broker.
BACKEND = pytest.mark.parametrize(
    "backend", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in BACKENDS]
)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run see, and no other run."""
    root = tmp_path_factory.getbasetemp()
    return root.parent if root.name.startswith("popen-") else root


@contextmanager
def once(folder: Path) -> Iterator[bool]:
    """Let one process make `folder` while the others wait; say whether that is this one."""
    done = folder.with_name(f"{folder.name}.done")
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not done.exists()
        done.touch()


@pytest.fixture(scope="session")
def template(shared: Path) -> Path:
    """A clean copy of the repository without the hook that installs and tests."""
    folder = shared / "template"
    with once(folder) as first:
        if first:
            copy_template(folder, post_gen=False)
    return folder


@pytest.fixture(scope="session")
def baked(shared: Path, template: Path) -> Baker:
    """Return the bake of a backend by a tool; every later call has the same folder."""

    def get(tool: str, backend: str = "none") -> Path:
        folder = shared / f"{tool}-{backend}"
        with once(folder) as first:
            if first:
                bake(tool, template, folder, {"queue_backend": backend})
        return folder / "acme-mail"

    return get


@pytest.fixture(scope="session")
def installed(shared: Path, template: Path) -> Baker:
    """Return a bake by cookiecutter with its dependencies installed for a version of Python."""

    def get(backend: str = "none", python: str = "3.11") -> Path:
        folder = shared / f"installed-{backend}-{python}"
        with once(folder) as first:
            if first:
                bake("cookiecutter", template, folder, {"queue_backend": backend})
                interpreter = find_python(python) or python
                run(UV, "sync", "--quiet", "--python", interpreter, cwd=folder / "acme-mail")
        return folder / "acme-mail"

    return get
