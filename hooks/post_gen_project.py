"""Lock, install and test the new service, then say how to start it.

Exits 1 when the service's tests fail. A machine that cannot install keeps the project and exits 0,
because nothing is wrong with the files; it says that nothing was verified.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

SLUG = "{{ cookiecutter.project_slug }}"
COMMIT = "{{ cookiecutter._commit | default('') }}"
SCRIPTS = Path(".venv", "Scripts" if os.name == "nt" else "bin")


def find_uv() -> str | None:
    """Find uv where `uvx` says, on the PATH, or beside the Python that runs cookiecutter."""
    beside = sysconfig.get_path("scripts")
    return os.environ.get("UV") or shutil.which("uv") or shutil.which("uv", path=beside)


def run(*command: str) -> None:
    """Run a command with its output live; raises `CalledProcessError` or `OSError`."""
    # An environment that is active around us is not the new service's.
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    subprocess.run(command, check=True, env=environment)


def install(uv: str | None) -> None:
    """Make `uv.lock` and `.venv`, for the Python that runs cookiecutter where that is possible."""
    if uv is None:
        with tempfile.TemporaryDirectory() as folder:
            run(sys.executable, "-m", "venv", folder)
            scripts = Path(folder, SCRIPTS.name)
            run(str(scripts / "python"), "-m", "pip", "install", "--quiet", "uv")
            return install(str(scripts / "uv"))
    chosen = "UV_PYTHON" in os.environ or sys.version_info < (3, 11)
    python = [] if chosen else ["--python", getattr(sys, "_base_executable", sys.executable)]
    return run(uv, "sync", *python)


def compared() -> bool:
    """Tell whether this is `cruft update` or `diff`, which bakes into a temporary folder twice."""
    return bool(COMMIT) and Path(tempfile.gettempdir()).resolve() in Path.cwd().resolve().parents


def main() -> None:
    """Verify the service and print the next two commands."""
    if compared():
        return
    start = time.monotonic()
    uv = find_uv()
    # What the printed commands begin with must work as it is typed.
    prefix = "uv run " if shutil.which("uv") else f"{SCRIPTS}{os.sep}"
    print("Installing the service's dependencies ...", flush=True)
    try:
        install(uv)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"\nNOT VERIFIED: the dependencies could not be installed ({error}).")
        print("The files are complete. When this machine can install them, run the tests with:")
        print(f"\n  cd {SLUG}\n  uv run pytest\n")
        if uv is None:
            print("uv comes with `pip install uv`.")
        return
    installed = time.monotonic()
    print(f"Installed in {installed - start:.1f} s. Running the service's tests ...", flush=True)
    try:
        run(str(SCRIPTS / "python"), "-m", "pytest")
    except subprocess.CalledProcessError:
        sys.exit(
            "The new service fails its own tests. To keep the files and look, generate it"
            " again with --keep-project-on-failure."
        )
    print(f"Tested in {time.monotonic() - installed:.1f} s. Start the service with:")
    print(f"\n  cd {SLUG}\n  {prefix}fastapi dev\n")


if __name__ == "__main__":
    main()
