"""Text that people type or other systems send, before it stands in one line of a mail or a log."""

import unicodedata

NOT_SEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of what breaks a line, turns its direction round, or cannot be seen."""

JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
"""Invisible, too, but parts of Persian words and of emoji."""


def is_line(text: str) -> bool:
    """Tell whether a text shows as what it is, and in one line."""
    return all(char in JOINERS or unicodedata.category(char) not in NOT_SEEN for char in text)


def check_line(text: str) -> str:
    """Return the text. Raises `ValueError` unless it may stand in one line."""
    if not is_line(text):
        raise ValueError("must not contain line breaks, control or format characters")
    return text


def printable(text: str) -> str:
    """Replace what PostgreSQL refuses, and a terminal obeys."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
