"""Refuse answers that would make a broken service, with one line per problem.

The rules are `_rules` in `cookiecutter.json`: an answer must match each pattern for its question,
and gets the message of the first that it does not match. `copier.yml` is generated from them, too.
"""

import json
import re
import sys

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


def main() -> None:
    """Print what is wrong and exit 1, or do nothing."""
    questions = [name for name in CONTEXT if not name.startswith("_")]
    problems = [found for name in questions if (found := problem(name))]
    if problems:
        sys.exit("\n".join(problems))


main()
