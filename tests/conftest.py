"""The clean template and its bakes, made once for all test processes; brokers, one for each."""

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from harness.bakery import UV, Baker, bake, copy_template, find_python, run
from harness.brokers import PROGRAMS, Broker, Brokers, running_broker
from harness.cells import ANSWERS, Cell
from harness.chromium import chromium, find_chromium
from harness.lock import once
from harness.releases import NONE_YET


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what takes longest first, so that no process is left alone with it."""
    slow = ("test_check[celery", "test_check[arq", "test_chaos", "celery", "arq")
    items.sort(key=lambda item: [word not in item.nodeid for word in slow])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With `TESTS_MUST_NOT_SKIP`, as in CI, let a test fail that finds something missing here."""
    report = yield
    missing = report.skipped and NONE_YET not in str(report.longrepr)
    if missing and os.environ.get("TESTS_MUST_NOT_SKIP"):
        report.outcome, report.longrepr = "failed", f"TESTS_MUST_NOT_SKIP: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run see, and no other run."""
    root = tmp_path_factory.getbasetemp()
    return root.parent if root.name.startswith("popen-") else root


@pytest.fixture(scope="session")
def node_modules(shared: Path) -> Callable[[str], Path]:
    """Install a package of npm once, such as `mermaid@11.17.2`; return its `node_modules`."""

    def get(package: str) -> Path:
        if shutil.which("npm") is None:
            pytest.skip(f"no npm here, which brings {package}: install Node.js")
        folder = shared / package
        with once(folder) as first:
            if first:
                folder.mkdir()
                run("npm", "install", "--silent", package, cwd=folder)
        return folder / "node_modules"

    return get


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module's tests, each of which opens a window of its own."""
    executable = find_chromium()
    if executable is None:
        pytest.skip("no Chromium here: `apt install chromium`, or name one in $CHROMIUM")
    with chromium(executable) as browser:
        yield browser


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

    def get(tool: str, backend: str = "none", answers: str = "plain") -> Path:
        folder = shared / f"{tool}-{backend}-{answers}"
        with once(folder) as first:
            if first:
                bake(tool, template, folder, ANSWERS[answers] | {"queue_backend": backend})
        return folder / Cell(answers=answers).slug

    return get


@pytest.fixture(scope="session")
def installed(shared: Path, baked: Baker) -> Baker:
    """Return a bake by cookiecutter with the dependencies of a cell installed."""

    def get(*of: str) -> Path:
        cell = Cell(*of)
        if (python := find_python(cell.python)) is None:
            pytest.skip(
                f"no Python {cell.python} here: `uv python install {cell.python}` brings one"
            )
        project = shared / f"installed-{cell}" / cell.slug
        with once(project.parent) as first:
            if first:
                shutil.copytree(baked("cookiecutter", cell.backend, cell.answers), project)
                choice = ("--python", python, f"--resolution={cell.resolution}")
                run(UV, "sync", "--quiet", *choice, cwd=project)
        return project

    return get


@pytest.fixture(scope="session")
def brokers() -> Iterator[Brokers]:
    """Return the broker of a backend, which this test process has to itself."""
    started: dict[str, Broker] = {"none": Broker({})}
    with ExitStack() as stack:

        def get(backend: str) -> Broker:
            if backend not in started:
                program = PROGRAMS[backend]
                if shutil.which(program) is None:
                    pytest.skip(f"no {program} on the PATH, which the tests start: install it")
                started[backend] = stack.enter_context(running_broker(backend))
            return started[backend]

        yield get
