"""Fields that several of the examples have."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from app.text import check_name

PersonName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(check_name),
]
