"""The full product: every answer, on every Python, at both ends of the dependencies' bounds.

Both tools make the same bytes of the same answers, which `tests/template/test_bake.py` proves for
each set of them; so a cell is baked once for what is expensive, and stands for both.
"""

from itertools import product
from typing import NamedTuple

import pytest

from harness.bakery import BACKENDS, find_python

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
HERE = [version for version in PYTHONS if find_python(version)] or [PYTHONS[0]]
"""Those that this machine has."""

RESOLUTIONS = ("highest", "lowest-direct")
ANSWERS: dict[str, dict[str, str]] = {
    "plain": {},
    # Everything that is legal and could break something, each as long as it may be.
    "odd": {
        "project_name": "O'Neil & Söhne: 100% #1 $HOME, `ls` – the 日本 post office Ltd",  # noqa: RUF001
        "project_slug": "o-neil-and-soehne-100-per-cent-number-1-the-post-office-ltd1",
        "project_description": (
            "It's the “odd” one: $PATH & `rm` # 100%; ünïcödé 日本語 / (a|b) [c] ~ ^ * ? ! = + ,"
            " @ and it is as long as a description may be, and it ends in the very last character"
            " that the rules of both tools let in"
        ),
        "author_name": (
            "Zoë d'Arc & Söhne 日本 #1, who signs with as long a name as anybody may have: one of"
            " one hundred!!!!!!"
        ),
        "sender_email": "No-Reply+a_b.c@Mail.acme-corp.co.uk",
    },
}


class Cell(NamedTuple):
    """What an installed bake depends on."""

    backend: str = "none"
    python: str = HERE[0]
    resolution: str = "highest"
    answers: str = "plain"

    @property
    def slug(self) -> str:
        """The bake's folder."""
        return ANSWERS[self.answers].get("project_slug", "acme-mail")

    def __str__(self) -> str:
        """What the cell is called in a test's name and in the table."""
        return "-".join(self)


CELLS = [Cell(*cell) for cell in product(BACKENDS, PYTHONS, RESOLUTIONS, ANSWERS)]


def daily() -> list[Cell]:
    """List the cells of the default run: each value of each column at least once.

    The Pythons that this machine has are spread over the backends.
    """
    return [
        Cell("none", HERE[-1], "lowest-direct", "odd"),
        Cell("arq", HERE[len(HERE) // 2]),
        Cell("celery", HERE[0]),
    ]


DAILY = daily()

BACKEND = pytest.mark.parametrize("backend", BACKENDS)

TREES = pytest.mark.parametrize("answers", ANSWERS)
"""With `BACKEND`, for what depends on the files alone."""

EACH_BACKEND = pytest.mark.parametrize(
    "backend",
    [pytest.param(name, marks=[pytest.mark.matrix] * (name != "none")) for name in BACKENDS],
)
"""For what takes time, and hardly depends on the queue; the default run has none."""

EACH_TREE = pytest.mark.parametrize(
    ("backend", "answers"),
    [
        pytest.param(*tree, id="-".join(tree), marks=[pytest.mark.matrix] * (tree[1] != "plain"))
        for tree in product(BACKENDS, ANSWERS)
    ],
)
"""For what depends on the files, but takes time; the default run has the plain answers."""

EACH_CELL = pytest.mark.parametrize(
    "cell",
    [pytest.param(c, id=str(c), marks=[] if c in DAILY else pytest.mark.matrix) for c in CELLS],
)
"""For what depends on the installed packages; the default run has the daily cells."""
