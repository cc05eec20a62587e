"""Both tools ask the same questions and refuse the same answers, with a line that names them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cookiecutter.exceptions import CookiecutterException

from harness.bakery import REPOSITORY, TOOLS, UV, bake, run, tree
from tools.copier_yml import copier_yml

COOKIECUTTER: dict[str, Any] = json.loads((REPOSITORY / "cookiecutter.json").read_text())
COPIER: dict[str, Any] = yaml.safe_load((REPOSITORY / "copier.yml").read_text())
QUESTIONS = [name for name in COOKIECUTTER if not name.startswith("_")]

REFUSED = {
    "project_name": [
        "",
        "   ",
        "...",
        "49",
        " Acme",
        'O"Neil',
        "back\\slash",
        "two\nlines",
        "tab\there",
        "{braces}",
        "{{ 7*7 }}",
        "{{ 'Acme' }}",
        "<b>Acme</b>",
        "zero\u200bwidth",
        "-dash",
        "# Acme",
        "x" * 200,
    ],
    "project_slug": [
        "",
        "   ",
        "a b",
        'a"b',
        "a\\b",
        "a\nb",
        "a{b}",
        "{{ 7*7 }}",
        "{{ 'acme' }}",
        "é",
        "x" * 200,
        "a/b",
        "../a",
        "..",
        ".",
        "/absent/a",
        "Acme",
        "a_b",
        "a--b",
        "-a",
        "a-",
        "1a",
        "con",
        "com1",
    ],
    "project_description": ["", "  ", 'say "hi"', "a\\b", "two\nlines", "{{ 'Acme' }}", "x" * 201],
    "author_name": ["", "  ", 'O"Neil', "a\\b", "two\nlines", "{{ 'Acme' }}", "x" * 200],
    "sender_email": [
        "",
        "  ",
        "hello",
        "hello@",
        "hello@localhost",
        "hello@acme",
        "@acme.dev",
        "a b@acme.dev",
        "a@acme.dev\nb",
        'a"b@acme.dev',
        "hello@acme.test",
        "hello@a.local",
        "hello@-acme.dev",
        "hello@ac--me.dev",
        "hello@1.2.3.4",
        "hållo@acme.dev",
        "hello@münchen.de",
        "hello@xn--mnchen-3ya.de",
        f"{'x' * 65}@acme.dev",
        "Acme <hello@acme.dev>",
        "{{ 'hello@acme.dev' }}",
    ],
    "queue_backend": ["", "redis"],
}

ACCEPTED: list[dict[str, str]] = [
    {"project_name": "O'Neil & Söhne", "author_name": "Zoë d'Arc, 日本", "project_slug": "o2"},
    {"project_name": "50% of # $HOME `x`", "project_slug": "fifty", "author_name": "3M"},
    {"project_name": "日本"},
    {"project_slug": "x" * 60, "sender_email": "No-Reply+a_b.c@Mail.acme-corp.co.uk"},
    {"sender_email": f"{'x' * 64}@{'y' * 63}.dev"},
]


def test_questions_are_the_same() -> None:
    """The same questions in the same order, with the same words, choices and defaults."""
    asked = [name for name in COPIER if not name.startswith("_") and "when" not in COPIER[name]]
    assert asked == QUESTIONS
    prompts = COOKIECUTTER["__prompts__"]
    for name in QUESTIONS:
        prompt, default = prompts[name], COOKIECUTTER[name]
        if isinstance(default, list):
            assert COPIER[name]["choices"] == {prompt[choice]: choice for choice in default}
            prompt, default = prompt["__prompt__"], default[0]
        assert COPIER[name]["help"] == prompt
        assert COPIER[name]["default"] == default.replace("cookiecutter.", "")


def test_copier_yml_is_current() -> None:
    """`copier.yml` is what `uv run python -m tools.copier_yml` makes of `cookiecutter.json`."""
    assert copier_yml(COOKIECUTTER) == (REPOSITORY / "copier.yml").read_text("utf-8")


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(
    ("question", "value"),
    [(question, value) for question, values in REFUSED.items() for value in values],
)
def test_refused(  # noqa: PLR0913, PLR0917  two parameters and four fixtures
    tool: str,
    question: str,
    value: str,
    template: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A bad answer ends generation with an error that names the question, and leaves no file."""
    folder = tmp_path / "out" / "here"
    with pytest.raises((CookiecutterException, ValueError)) as caught:
        bake(tool, template, folder, {question: value})

    # cookiecutter itself, before any hook, refuses a folder that exists (for the slugs that name
    # none of their own), and makes the folders of a slug with a slash.
    output = capfd.readouterr().err + str(caught.value)
    assert question in output or "already exists" in output or "Invalid choice" in output
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("answers", ACCEPTED)
def test_accepted(answers: dict[str, str], template: Path, tmp_path: Path) -> None:
    """What one tool accepts the other accepts, and both make the same files of it."""
    ours, theirs = (tree(bake(tool, template, tmp_path / tool, answers)) for tool in TOOLS)

    assert ours == theirs
    assert "pyproject.toml" in ours


TAKEN = ["fastapi", "poststack", "email", "json", "class", "app", "tests"]
"""Names of packages, of standard modules, of a keyword and of the service's own folders."""


@pytest.mark.parametrize("slug", TAKEN)
def test_taken_slug(slug: str, template: Path, tmp_path: Path) -> None:
    """A slug may be the name of a package or a module: uv locks the service all the same."""
    project = bake("cookiecutter", template, tmp_path, {"project_slug": slug})

    run(UV, "lock", "--quiet", cwd=project)
    assert f'name = "{slug}-service"' in (project / "uv.lock").read_text("utf-8")


@pytest.mark.matrix
def test_taken_slug_is_green(template: Path, tmp_path: Path) -> None:
    """And its lint, types and tests are green."""
    project = bake("cookiecutter", template, tmp_path, {"project_slug": TAKEN[0]})

    run(UV, "run", "--quiet", "poe", "check", cwd=project)
