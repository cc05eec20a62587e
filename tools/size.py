"""Count a bake's files and lines, for CONTRIBUTING.md: `uv run python -m tools.size`."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from harness.bakery import BACKENDS, REPOSITORY, bake, copy_template, tree

PAGE = REPOSITORY / "CONTRIBUTING.md"
PARTS = ("app", "tests", "sandbox", "other")
TABLE = re.compile(r"^\| queue \|.*\n(?:\|.*\n)+", re.MULTILINE)
TOLERANCE = 0.1
"""A table that is so far off is out of date; one for each changed line would be a nuisance."""


def count(files: Mapping[str, bytes]) -> dict[str, tuple[int, int]]:
    """Count the files and lines of each part."""
    sizes = dict.fromkeys(PARTS, (0, 0))
    for name, content in files.items():
        folder = name.partition("/")[0]
        part = folder if folder in PARTS else "other"
        number, lines = sizes[part]
        sizes[part] = (number + 1, lines + content.count(b"\n"))
    return sizes


def measure(folder: Path) -> str:
    """Bake each backend, and make the table."""
    template = copy_template(folder / "template", post_gen=False)
    rows = [("queue", *PARTS, "files, lines"), ("---", *["---:"] * (len(PARTS) + 1))]
    for backend in BACKENDS:
        sizes = count(
            tree(bake("cookiecutter", template, folder / backend, {"queue_backend": backend}))
        )
        total = (sum(files for files, _ in sizes.values()), sum(n for _, n in sizes.values()))
        cells = [f"{files}, {lines}" for files, lines in [*sizes.values(), total]]
        rows.append((backend, *cells))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def current(table: str, page: str) -> bool:
    """Tell whether the table of a page is about this one."""
    found = TABLE.search(page)
    if found is None or re.sub(r"\d+", "N", found[0]) != re.sub(r"\d+", "N", table):
        return False
    pairs = zip(re.findall(r"\d+", found[0]), re.findall(r"\d+", table), strict=True)
    return all(abs(int(old) - int(new)) <= TOLERANCE * int(new) for old, new in pairs)


def main() -> None:
    """Write the table."""
    with tempfile.TemporaryDirectory() as folder:
        table = measure(Path(folder))
    print(table)
    PAGE.write_text(TABLE.sub(table, PAGE.read_text("utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
