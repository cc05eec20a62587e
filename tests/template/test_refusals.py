"""Whatever is answered, both tools decide alike; what they accept bakes, parses and is the same."""

import json
import re
import sys
import tempfile
import unicodedata
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import yaml
from cookiecutter.environment import StrictEnvironment
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jinja2.sandbox import SandboxedEnvironment

from harness.bakery import BACKENDS, REPOSITORY, SCRIPTS, TOOLS, bake, parse, run, tree

HOOK = (REPOSITORY / "hooks/pre_gen_project.py").read_text()
COPIER: dict[str, Any] = yaml.safe_load((REPOSITORY / "copier.yml").read_text())
COOKIECUTTER: dict[str, Any] = json.loads((REPOSITORY / "cookiecutter.json").read_text())
RULES: list[dict[str, Any]] = COOKIECUTTER["_rules"]
DEFAULTS = {
    "project_name": "Acme Mail",
    "project_slug": "acme-mail",
    "project_description": "Sends mail.",
    "author_name": "The Acme Team",
    "sender_email": "hello@example.com",
}

FOR_COOKIECUTTER = StrictEnvironment(keep_trailing_newline=True)
FOR_COPIER = SandboxedEnvironment(
    extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"],
    **COPIER["_envops"],
)

# Invented answers: anything, and things close to what is legal.
NASTY = (
    "\"'\\{}<>%#$`&;|*?:/~@!()[]\n\r\t\0\x1b\x7f\u00a0\u200b\u202e\u2028\ufeff 019azAZé½²日ßΩ😀-_.+"
)
TAGS = st.sampled_from(["{{ 7*7 }}", "{% raw %}", "{# x #}", "# % if", '"""', "\\N{BULLET}", "../"])
WORDS = st.text("abcXYZ019 éß日'&-.,:%#$", min_size=1, max_size=12)
TEXT = st.one_of(
    st.text(max_size=220),
    st.text(NASTY, max_size=70),
    st.lists(WORDS | TAGS, max_size=6).map(" ".join),
    st.integers(59, 61).map(lambda length: "x" * length),
    st.integers(99, 101).map(lambda length: "x" * length),
    st.integers(199, 201).map(lambda length: "x" * length),
)
ODD = "abcXYZ019éß日'&-.,:;%#$`’–*?!()[]|/~^=+@_"  # noqa: RUF001
LEGAL_TEXT = st.lists(st.text(ODD, min_size=1, max_size=9), min_size=1, max_size=5).map(" ".join)
LEGAL_SLUG = st.from_regex(r"[a-z][a-z0-9]{0,9}(-[a-z0-9]{1,9}){0,4}", fullmatch=True)
LEGAL_ADDRESS = st.from_regex(
    r"[a-z0-9_+-]{1,9}(\.[a-z0-9]{1,9}){0,2}@([a-z0-9]{1,9}\.){1,3}([a-z]{2,6}|test|local|arpa)",
    fullmatch=True,
)


def near(legal: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Invent answers that are legal, or were until one character was put in, or until doubled."""
    return st.one_of(
        legal,
        st.tuples(legal, st.sampled_from(NASTY), st.integers(0, 40)).map(
            lambda made: made[0][: made[2]] + made[1] + made[0][made[2] :]
        ),
        st.tuples(legal, legal).map("".join),
    )


ANSWERS: dict[str, st.SearchStrategy[str]] = {
    "project_name": near(LEGAL_TEXT) | TEXT,
    "project_slug": near(LEGAL_SLUG) | st.sampled_from(["con", "aux", "com1", "lpt9"]) | TEXT,
    "project_description": near(LEGAL_TEXT) | TEXT,
    "author_name": near(LEGAL_TEXT) | TEXT,
    "sender_email": near(LEGAL_ADDRESS) | st.emails() | TEXT,
}


def by_hook(question: str, value: str) -> str:
    """Return what cookiecutter's hook, rendered with this answer and run, says against it."""
    answers = DEFAULTS | {question: value}
    code = FOR_COOKIECUTTER.from_string(HOOK).render(cookiecutter=answers | {"_rules": RULES})
    try:
        # Where no project is, as this repository has one: the hook refuses to overwrite it.
        with tempfile.TemporaryDirectory() as empty, chdir(empty):
            exec(compile(code, "pre_gen_project.py", "exec"), {})  # noqa: S102  cookiecutter does
    except SystemExit as problem:
        return str(problem.code).removeprefix(f"{question} ")
    return ""


def by_validator(question: str, value: str) -> str:
    """Return what copier's validator says against an answer."""
    template = FOR_COPIER.from_string(COPIER[question]["validator"])
    rendered: str = template.render(DEFAULTS | {question: value})
    return rendered.strip()


@pytest.mark.parametrize("question", ANSWERS)
def test_both_decide_alike(question: str) -> None:
    """The hook and the validator say the same of any answer, in the same words."""
    decisions: set[str] = set()

    @settings(max_examples=400, database=None, deadline=None, derandomize=True)
    @given(ANSWERS[question])
    @example(DEFAULTS[question])
    def decide(value: str) -> None:
        said = by_hook(question, value)
        decisions.add(said)
        assert said == by_validator(question, value)

    decide()
    assert decisions == {"", *(r["message"] for r in RULES if question in r["questions"])}


def test_no_invisible_character() -> None:
    """Text has no control, private or bidirectional character, and no space but the usual one."""
    [pattern] = [rule["pattern"] for rule in RULES if "invisible" in rule["message"]]
    for character in map(chr, range(sys.maxunicode + 1)):
        accepted = re.search(pattern, f"a{character}a") is not None
        category = unicodedata.category(character)
        # Format characters with a direction of their own, such as Arabic number signs, are seen.
        seen = category == "Cf" and unicodedata.bidirectional(character) in {"AL", "AN", "L"}
        if character.isprintable():
            assert accepted, ascii(character)
        elif category != "Cn" and not seen:
            assert not accepted, ascii(character)


LEGAL = st.fixed_dictionaries(
    {
        "project_name": LEGAL_TEXT.filter(lambda value: not by_hook("project_name", value)),
        "project_slug": LEGAL_SLUG.filter(lambda value: not by_hook("project_slug", value)),
        "project_description": LEGAL_TEXT.filter(
            lambda value: not by_hook("project_description", value)
        ),
        "author_name": LEGAL_TEXT.filter(lambda value: not by_hook("author_name", value)),
        "sender_email": LEGAL_ADDRESS.filter(lambda value: not by_hook("sender_email", value)),
        "queue_backend": st.sampled_from(BACKENDS),
    }
)


def bakes_alike(template: Path, answers: Mapping[str, str]) -> None:
    """Assert that both tools make the same of these answers, and that it is valid and clean."""
    with tempfile.TemporaryDirectory() as name:
        ours, theirs = (bake(tool, template, Path(name, tool), answers) for tool in TOOLS)
        assert tree(ours) == tree(theirs)
        parse(tree(ours))
        ruff = str(SCRIPTS / "ruff")
        run(ruff, "check", "--no-cache", cwd=ours)
        run(ruff, "format", "--no-cache", "--check", cwd=ours)


@pytest.mark.parametrize("examples", [8, pytest.param(80, marks=pytest.mark.matrix)])
def test_accepted_answers_bake(examples: int, template: Path) -> None:
    """Random legal answers give the same, valid, clean files from both tools."""

    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(LEGAL)
    def accept(answers: dict[str, str]) -> None:
        bakes_alike(template, answers)

    accept()


@pytest.mark.parametrize(
    ("version", "refused"),
    [("1.7.3", True), ("2.1.1", True), ("2.2.0", False), ("2.10", False), ("10.0.dev1", False)],
)
def test_old_cookiecutter(version: str, refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Case 4: one that renders another service is refused by its version."""
    monkeypatch.setattr("importlib.metadata.version", lambda _: version)
    said = by_hook("project_slug", "acme-mail")
    assert said == (
        f"cookiecutter {version} is too old, use 2.2 or newer: `uvx cookiecutter`."
        if refused
        else ""
    )
