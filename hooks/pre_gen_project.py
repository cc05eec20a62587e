"""Refuse answers that would make a broken service, with one line per problem.

`copier.yml` has the same rules in its validators; `tests/test_answers.py` proves that they agree.
"""

import json
import re
import sys

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")
# Before cookiecutter renders them as Jinja, which it does with --no-input; cruft does not tell.
TYPED = json.loads(r"""{{ (_cookiecutter if _cookiecutter is defined else {}) | tojson }}""")

# They stand inside quotes in TOML and Python, where these characters would end or bend the string.
UNSAFE = '"\\{}<>'
SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
# Narrower than RFC 5321, and all of it accepted by the service's own check of the address.
ADDRESS = re.compile(
    r"(?=.{1,64}@)[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*"
    r"@(?=.{1,189}$)([A-Za-z0-9](?!.--)([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)
UNROUTABLE = re.compile(r"[@.](test|invalid|local|localhost|onion|arpa)$", re.IGNORECASE)


def text_problem(value: str, limit: int) -> str:
    """Say what keeps `value` from being a line of plain text, or nothing."""
    if not re.search(r"[^\W\d_]", value):
        return "needs at least one letter"
    if value != value.strip() or not value.isprintable():
        return "must be one line without spaces around it or invisible characters"
    if not value[0].isalnum():
        return "must begin with a letter or a digit"
    if any(character in UNSAFE for character in value):
        return f"must not contain any of {' '.join(UNSAFE)}"
    if len(value) > limit:
        return f"must have at most {limit} characters"
    return ""


def slug_problem(value: str) -> str:
    """Say what keeps `value` from naming a folder and a distribution, or nothing."""
    if not SLUG.fullmatch(value) or len(value) > 60:
        return "must be at most 60 lower-case letters, digits and single hyphens, a letter first"
    if value in " ".join(ANSWERS["_reserved_slugs"]).split():
        return "is the name of a Python keyword, a standard module or a dependency; choose another"
    return ""


def address_problem(value: str) -> str:
    """Say what keeps `value` from being the sender of mail, or nothing."""
    if not ADDRESS.fullmatch(value):
        return "must be an ASCII email address such as hello@example.com"
    if UNROUTABLE.search(value):
        return "must be at a domain that can receive mail"
    return ""


def answer(name: str) -> str:
    """Return an answer as it was given, though it may have been rendered since."""
    typed = TYPED.get(name, "")
    # The slug's default is Jinja itself, and reads the name.
    jinja = "{" in typed and "cookiecutter.project_name" not in typed
    return str(typed if jinja else ANSWERS[name])


def main() -> None:
    """Print what is wrong and exit 1, or do nothing."""
    problems = {
        "project_name": text_problem(answer("project_name"), 60),
        "project_slug": slug_problem(answer("project_slug")),
        "project_description": text_problem(answer("project_description"), 200),
        "author_name": text_problem(answer("author_name"), 100),
        "sender_email": address_problem(answer("sender_email")),
    }
    lines = [f"{name} {problem}" for name, problem in problems.items() if problem]
    if lines:
        sys.exit("\n".join(lines))


main()
