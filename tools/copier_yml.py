"""Write copier.yml from the questions and rules of cookiecutter.json.

    uv run python -m tools.copier_yml

cookiecutter.json is the source; a test fails while the committed copier.yml differs from it.
"""

import json
from collections.abc import Iterator
from typing import Any

from harness.bakery import REPOSITORY

SOURCE = REPOSITORY / "cookiecutter.json"
TARGET = REPOSITORY / "copier.yml"

HEAD = """\
# Written by `uv run python -m tools.copier_yml`: change questions and rules in cookiecutter.json,
# and everything else in tools/copier_yml.py.
_min_copier_version: "9.10.0"
_subdirectory: "{% raw %}{{cookiecutter.project_slug}}{% endraw %}"
_templates_suffix: ""
_envops:
  line_statement_prefix: "# %"
  trim_blocks: true
"""
# Each answer goes through to_json, so that none can be taken for YAML.
ANSWERS = """\
# The template's files say `cookiecutter.project_name`, for both tools. copier finds includes from
# the repository's root, cookiecutter in templates/.
cookiecutter:
  type: yaml
  when: false
  default: |-
{answers}
    __queue: {{{{ ("templates/" ~ queue_backend) | to_json }}}}
    __answers_file: {{{{ _copier_conf.answers_file | string | to_json }}}}
"""
MESSAGE = """\
_message_after_copy: |
    {% set path = _copier_conf.dst_path | string %}
    {% set path = ("./" if path[:1] == "-" else "") ~ path %}

    Install the service and run its tests with:

      cd {{ path | quote }}
      uv run pytest

    Then start it with:

      uv run fastapi dev
"""


def quoted(value: object) -> str:
    """Quote a value, which JSON, YAML and Jinja's strings do alike."""
    return json.dumps(value, ensure_ascii=False)


def validator(name: str, rules: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the Jinja that prints the message of the first rule that an answer breaks.

    A match may be empty, hence `is none`.
    """
    word = "if"
    for rule in rules:
        if name in rule["questions"]:
            broken = f"{name} | regex_search({quoted(rule['pattern'])}) is none"
            yield f"    {{% {word} {broken} %}}{rule['message']}"
            word = "elif"
    if word == "elif":
        yield "    {% endif %}"


def question(name: str, source: dict[str, Any]) -> str:
    """Write a question as copier asks it."""
    prompt, default = source["__prompts__"][name], source[name]
    choices: list[str] = []
    if isinstance(default, list):
        choices = [f"    {quoted(prompt[value])}: {quoted(value)}" for value in default]
        prompt, default = prompt["__prompt__"], default[0]
    lines = [
        f"{name}:",
        "  type: str",
        f"  help: {quoted(prompt)}",
        f"  default: {quoted(default.replace('cookiecutter.', ''))}",
    ]
    if choices:
        lines += ["  choices:", *choices]
    if checks := list(validator(name, source["_rules"])):
        lines += ["  validator: |-", *checks]
    return "\n".join([*lines, ""])


def copier_yml(source: dict[str, Any]) -> str:
    """Write the whole file."""
    names = [name for name in source if not name.startswith("_")]
    answers = "\n".join(f"    {name}: {{{{ {name} | to_json }}}}" for name in names)
    questions = [question(name, source) for name in names]
    return "\n".join([HEAD, *questions, ANSWERS.format(answers=answers), MESSAGE])


def main() -> None:
    """Write the file."""
    source = json.loads(SOURCE.read_text("utf-8"))
    TARGET.write_text(copier_yml(source), encoding="utf-8")


if __name__ == "__main__":
    main()
