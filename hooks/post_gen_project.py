"""Lock, install and test the new service, then say how to start it.

Exits 1 when the service's tests fail. A machine that cannot install keeps the project and exits 0,
because nothing is wrong with the files; it says that nothing was verified.
"""

from __future__ import annotations  # cookiecutter may run on Python 3.8

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

COMMIT = "{{ cookiecutter._commit | default('') }}"
SCRIPTS = "Scripts" if os.name == "nt" else "bin"
# What says which project uv works on, what it leaves out, or how Python and pytest behave: meant
# for something else. Proxies, indexes, caches and UV_PROJECT_ENVIRONMENT are meant for us, too.
OF_OTHERS = re.compile(
    r"VIRTUAL_ENV|(COV|PYTEST|PYTHON)\w*|UV_(ENV_FILE|FROZEN|ISOLATED|LOCKED|NO_DEFAULT_GROUPS"
    r"|NO_DEV|NO_GROUP|NO_INSTALL_\w+|NO_PROJECT|NO_SYNC|PROJECT|WORKING_DIR(ECTORY)?)"
)


def find_uv() -> str | None:
    """Find uv where `uvx` says, on the PATH, or beside the Python that runs cookiecutter."""
    beside = sysconfig.get_path("scripts")
    return os.environ.get("UV") or shutil.which("uv") or shutil.which("uv", path=beside)


def environment() -> dict[str, str]:
    """Return the shell's environment without what it has for others than the new service."""
    return {key: value for key, value in os.environ.items() if not OF_OTHERS.fullmatch(key)}


def run(*command: str) -> None:
    """Run a command with its output live; raises `CalledProcessError` or `OSError`."""
    subprocess.run(command, check=True, env=environment())


def install(uv: str | None) -> Path:
    """Make `uv.lock` and the environment, and return the environment's Python.

    For the Python that runs cookiecutter where that is possible.
    """
    if uv is None:
        with tempfile.TemporaryDirectory() as folder:
            run(sys.executable, "-m", "venv", folder)
            scripts = Path(folder, SCRIPTS)
            run(str(scripts / "python"), "-m", "pip", "install", "--quiet", "uv")
            return install(str(scripts / "uv"))
    # With another Python uv would replace an environment that is there already.
    there = Path(os.environ.get("UV_PROJECT_ENVIRONMENT") or ".venv", "pyvenv.cfg").exists()
    chosen = there or "UV_PYTHON" in os.environ or sys.version_info < (3, 11)
    python = [] if chosen else ["--python", getattr(sys, "_base_executable", sys.executable)]
    # Inexact: the environment may be a container's or a workspace's, with packages of others.
    run(uv, "sync", "--inexact", *python)
    # Where uv has put it: UV_PROJECT_ENVIRONMENT and a workspace decide.
    ask = [uv, "run", "--no-sync", *python, "python", "-c", "import sys; print(sys.executable)"]
    found = subprocess.run(ask, check=True, env=environment(), stdout=subprocess.PIPE, text=True)
    return Path(found.stdout.strip())


def workspace() -> Path | None:
    """Find the uv workspace of which the new service has become a member, if any."""
    for folder in Path.cwd().parents:
        path = folder / "pyproject.toml"
        if path.is_file() and "[tool.uv.workspace]" in path.read_text("utf-8", "replace"):
            return path
    return None


def quoted(path: Path) -> str:
    """Quote a path for the shell."""
    return subprocess.list2cmdline([path]) if os.name == "nt" else shlex.quote(str(path))


def compared() -> bool:
    """Tell whether this is `cruft update` or `diff`, which bakes into a temporary folder twice."""
    return bool(COMMIT) and Path(tempfile.gettempdir()).resolve() in Path.cwd().resolve().parents


def main() -> None:
    """Verify the service and print the next two commands."""
    if compared():
        return
    start = time.monotonic()
    uv = find_uv()
    # The whole path: cookiecutter was started elsewhere.
    project, member_of = quoted(Path.cwd()), workspace()
    print("Installing the service's dependencies ...", flush=True)
    try:
        python = install(uv)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"\nNOT VERIFIED: the dependencies could not be installed ({error}).")
        print("The files are complete. When this machine can install them, run the tests with:")
        print(f"\n  cd {project}\n  uv run pytest\n")
        if uv is None:
            print("uv comes with `pip install uv`.")
        if member_of:
            print(
                f"The service is a member of the workspace in {member_of}: `exclude` it there"
                " if the two do not go together."
            )
        return
    installed = time.monotonic()
    print(f"Installed in {installed - start:.1f} s. Running the service's tests ...", flush=True)
    try:
        run(str(python), "-m", "pytest")
    except subprocess.CalledProcessError:
        sys.exit(
            "The new service fails its own tests. To keep the files and look, generate it"
            " again with --keep-project-on-failure."
        )
    if member_of and not Path("uv.lock").exists():
        print(f"The service is a member of the workspace in {member_of}, which has its uv.lock;")
        print("the Dockerfile needs one here: `exclude` the service there to have it.")
    # What the printed commands begin with must work as it is typed.
    scripts = python.parent
    if Path.cwd() in scripts.parents:
        scripts = scripts.relative_to(Path.cwd())
    fastapi = "uv run fastapi" if shutil.which("uv") else quoted(scripts / "fastapi")
    print(f"Tested in {time.monotonic() - installed:.1f} s. Start the service with:")
    print(f"\n  cd {project}\n  {fastapi} dev\n")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nInterrupted: the service is not verified. Run `uv run pytest` in its folder.")
