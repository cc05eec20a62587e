"""A service stays small: its owner has all of it to read."""

from harness.bakery import Baker, tree
from tools.size import count

MAX_LINES = {"app": 3950, "tests": 5000, "sandbox": 1900, "total": 12000}
"""Of a service without a queue. Make no line denser for it.

Release 0.2.0 had 2,300, 2,700, 1,600 and 7,200. Two databases with migrations, the mail log and
suppressions that an operator can change brought 2,900, half of it tests that run on both; all that
a mail carries, a layout for the clients that people use, previews and a fourth example 1,700.
"""


def test_count() -> None:
    """Files and lines are counted by part."""
    files = {"app/a.py": b"1\n2\n", "app/b/c.py": b"1\n", "README.md": b"1\n", "tests/a.py": b""}
    assert count(files) == {
        "app": (2, 3),
        "tests": (1, 0),
        "sandbox": (0, 0),
        "other": (1, 1),
        "total": (4, 4),
    }


def test_lines(baked: Baker) -> None:
    """No part of a service has more lines than it may have."""
    sizes = count(tree(baked("cookiecutter")))
    lines = {part: sizes[part][1] for part in MAX_LINES}

    assert {part: n for part, n in lines.items() if n > MAX_LINES[part]} == {}
