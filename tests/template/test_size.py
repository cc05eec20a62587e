"""The table of sizes in CONTRIBUTING.md is about this template."""

from pathlib import Path

from tools.size import PAGE, TABLE, count, current, measure


def test_count() -> None:
    """Files and lines are counted by part."""
    files = {"app/a.py": b"1\n2\n", "app/b/c.py": b"1\n", "README.md": b"1\n", "tests/a.py": b""}
    assert count(files) == {"app": (2, 3), "tests": (1, 0), "sandbox": (0, 0), "other": (1, 1)}


def test_table_is_current(tmp_path: Path) -> None:
    """It is within a tenth of the truth; `uv run python -m tools.size` renews it."""
    table = measure(tmp_path)

    assert current(table, PAGE.read_text("utf-8"))
    assert not current(table, "")
    [whole] = TABLE.findall(table)
    assert not current(table, whole.replace(", ", ", 1"))
