"""A lock between the processes of one test run."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def once(folder: Path) -> Iterator[bool]:
    """Let one process make `folder` while the others wait; say whether that is this one."""
    done = folder.with_name(f"{folder.name}.done")
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():  # what a failure left would be the next test's error
            shutil.rmtree(folder, ignore_errors=True)
        yield not done.exists()
        done.touch()
