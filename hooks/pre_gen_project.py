"""Refuse answers that would make a broken service, with one line per problem.

The rules are `_rules` in `cookiecutter.json`: an answer must match each pattern for its question,
and gets the message of the first that it does not match. `copier.yml` is generated from them, too.
"""

import json
import re
import sys
from pathlib import Path

try:
    from importlib.metadata import PackageNotFoundError, version
except ImportError:  # the parser of an old Python must get so far
    sys.exit("This template needs Python 3.8 or newer. `uvx cookiecutter` brings one.")

OLDEST = (2, 2)
"""The first cookiecutter that finds the template's includes."""

CONTEXT = json.loads(r"""{{ cookiecutter | tojson }}""")
# Before cookiecutter renders the answers as Jinja, which it does with --no-input; cruft has none.
TYPED = json.loads(r"""{{ (_cookiecutter if _cookiecutter is defined else {}) | tojson }}""")


def answer(question: str) -> str:
    """Return an answer as it was given, though it may have been rendered since."""
    typed = TYPED.get(question, "")
    # The slug's default is Jinja itself, and reads the name.
    jinja = "{" in typed and "cookiecutter.project_name" not in typed
    return str(typed if jinja else CONTEXT[question])


def problem(question: str) -> str:
    """Say what is wrong with an answer, or nothing."""
    for rule in CONTEXT["_rules"]:
        if question in rule["questions"] and not re.search(rule["pattern"], answer(question)):
            return f"{question} {rule['message']}"
    return ""


def too_old() -> str:
    """Say that this cookiecutter would make another service than the one that is tested."""
    try:
        installed = version("cookiecutter")
    except PackageNotFoundError:
        return ""
    if tuple(int(number) for number in re.findall(r"\d+", installed)[:2]) >= OLDEST:
        return ""
    wanted = ".".join(map(str, OLDEST))
    return f"cookiecutter {installed} is too old, use {wanted} or newer: `uvx cookiecutter`."


def taken() -> str:
    """Say that there is a project, which `cookiecutter -f` would mix with the new one."""
    if not (Path("pyproject.toml").exists() or Path("app").exists()):
        return ""
    return (
        f"{Path.cwd()} has a project already, which was left as it is. Choose another folder or"
        " slug; `copier update` and `cruft update` change a service that they made."
    )


def main() -> None:
    """Print what is wrong and exit 1, or do nothing."""
    questions = [name for name in CONTEXT if not name.startswith("_")]
    refusal = too_old() or taken()
    problems = [refusal] if refusal else list(filter(None, map(problem, questions)))
    if problems:
        sys.exit("\n".join(problems))


main()
