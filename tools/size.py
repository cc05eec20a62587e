"""Print how many files and lines a service has: `uv run python -m tools.size`."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from harness.bakery import BACKENDS, bake, copy_template, tree

PARTS = ("app", "tests", "sandbox", "other", "total")


def count(files: Mapping[str, bytes]) -> dict[str, tuple[int, int]]:
    """Count the files and lines of each part."""
    sizes = dict.fromkeys(PARTS, (0, 0))
    for name, content in files.items():
        folder = name.partition("/")[0]
        for part in (folder if folder in PARTS else "other", "total"):
            number, lines = sizes[part]
            sizes[part] = (number + 1, lines + content.count(b"\n"))
    return sizes


def main() -> None:
    """Bake each backend, and print a row for it."""
    print("queue  ", *(f"{part + ': files':>15} lines" for part in PARTS))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        template = copy_template(folder / "template", post_gen=False)
        for backend in BACKENDS:
            answers = {"queue_backend": backend}
            sizes = count(tree(bake("cookiecutter", template, folder / backend, answers)))
            print(f"{backend:7}", *(f"{files:15} {lines:5}" for files, lines in sizes.values()))


if __name__ == "__main__":
    main()
