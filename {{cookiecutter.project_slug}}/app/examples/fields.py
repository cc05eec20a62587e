"""Fields that several of the examples have."""

import re
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

LINK = re.compile(r"://|\w\.\w\w")
"""What mail programs turn into a link, `evil.example` included."""


def refuse_link(name: str) -> str:
    """Refuse a name with which a stranger would advertise to whomever they sign up."""
    if LINK.search(name):
        raise ValueError("must not contain a URL; after a dot goes a space")
    return name


PersonName = Annotated[
    str,
    # No control characters: PostStack takes none in a subject.
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$"
    ),
    AfterValidator(refuse_link),
]
