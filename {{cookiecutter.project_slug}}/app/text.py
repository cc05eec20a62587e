"""Text that people type or other systems send, before it stands in one line of a mail or a log."""

import re
import unicodedata

NOT_SEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of what breaks a line, turns its direction round, or cannot be seen."""

JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
"""Invisible, too, but parts of Persian words and of emoji."""

BLANKS = f"{JOINERS}\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe0f"
"""What shows as nothing, whatever its category: fillers, braille without a dot."""

LINK = re.compile(r"://|www\.|\w\.\w\w|\d\.\d")
"""What mail programs turn into a link, `evil.example` and `185.1.2.3` included."""


def check_line(text: str) -> str:
    """Return the text. Raises `ValueError` unless it shows as what it is, in one line."""
    if any(unicodedata.category(char) in NOT_SEEN and char not in JOINERS for char in text):
        raise ValueError("must not contain line breaks, control or format characters")
    return text


def check_name(text: str) -> str:
    """Return what somebody typed as a name.

    Raises `ValueError` if it is blank to the eye, or has a link with which a stranger would
    advertise to whomever they sign up.
    """
    check_line(text)
    if not text.strip(f"{BLANKS} \N{NO-BREAK SPACE}").strip():
        raise ValueError("must not be blank")
    # Full-width letters are links, too, and domains have three more characters for a dot.
    if LINK.search(re.sub("[\u3002\uff61]", ".", unicodedata.normalize("NFKC", text))):
        raise ValueError("must not contain a URL; after a dot goes a space")
    return text


def printable(text: str) -> str:
    """Replace what PostgreSQL refuses, and a terminal obeys."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
