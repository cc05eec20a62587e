"""Every command in the repository's README works as it is written."""

import os
import re
import sys
from pathlib import Path

from harness.bakery import REPOSITORY, UV, copy_template, run
from harness.git import NOBODY, commit
from harness.pages import commands
from harness.terminal import CLEAR_LINE, Terminal, play
from harness.versions import ADDED, NEW, OLD, plant


def bare(home: Path) -> dict[str, str]:
    """Return the environment of a fresh machine: Python and the system's programs, no uv.

    What was downloaded once is not downloaded again.
    """
    home.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("SSL_CERT_FILE",) if name in os.environ}
    path = f"{Path(sys.base_prefix, 'bin')}:/usr/local/bin:/usr/bin:/bin"
    cache = run(UV, "cache", "dir", cwd=home).strip()
    folders = {"HOME": str(home), "TMPDIR": str(home), "UV_CACHE_DIR": cache}
    return kept | NOBODY | folders | {"PATH": path}


ENTER = "\r"
QUESTIONS = (
    "Service name",
    "Folder and package name",
    "in one sentence",
    "Author",
    "Sender address",
)
DEFAULTS = dict.fromkeys(QUESTIONS, ENTER)
WRONG, RIGHT = 'Post "Office"', "Post Office"


def shown(readme: str, tool: str) -> str:
    """Turn a transcript in the README into a pattern: any numbers and home, any lines for `...`."""
    [block] = re.findall(rf"^```text\n(\$ [^\n]*{tool} .*?)^```", readme, re.DOTALL | re.MULTILINE)
    pattern = re.escape(block).replace("\\\n", "\n")
    pattern = pattern.replace("/home/you", r"\S+")
    pattern = re.sub(r"\d+(\\\.\d+)?", r"[\\d.]+", pattern)
    pattern = re.sub(r"={3,}", "=+", pattern)
    return pattern.replace("\n\\.\\.\\.\n", "\n(.*\\n)*?")


def test_repository(tmp_path: Path) -> None:
    """A typed answer is refused, corrected, and makes a service, as the README shows it."""
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    generate, copy, test = commands(REPOSITORY / "README.md")
    clone = copy_template(tmp_path / "clone")
    commit(clone, tag=OLD)
    env = bare(tmp_path / "home")
    again = generate.rpartition(" && ")[2]
    end = ("Choose from", ENTER)

    wrong = DEFAULTS | {"Service name": WRONG + ENTER}
    code, refused = play(generate, clone, env, [*wrong.items(), end])
    assert code == 1
    assert not (tmp_path / "post-office").exists()
    right = DEFAULTS | {"Service name": RIGHT + ENTER}
    code, made = play(again, clone, env, [*right.items(), end])
    assert code == 0, made
    [passed], [said] = (re.findall(r"(\d+) passed", text) for text in (made, readme))
    assert abs(int(said) - int(passed)) <= int(passed) / 10, f"the README says {said}, not {passed}"
    assert (tmp_path / "post-office/uv.lock").is_file()
    transcript = f"$ {again}\n{refused}$ {again}\n{made}"
    assert re.search(shown(readme, "cookiecutter"), transcript), transcript

    with Terminal(copy, clone, env) as terminal:
        terminal.wait("Service name\n[^\n]*")
        terminal.type(CLEAR_LINE + WRONG + ENTER)
        terminal.wait(r'must not contain any of " \\ { } < >')
        refused = terminal.text()
        terminal.type(CLEAR_LINE + RIGHT + ENTER)
        for question in QUESTIONS[1:]:
            terminal.wait(rf"{question}\n[^\n]*")
            terminal.type(ENTER)
        terminal.wait("celery: [^\n]*")
        terminal.type(ENTER)
        assert terminal.end() == 0, terminal.text()
        transcript = f"$ {copy}\n{refused}{terminal.text()}"
    assert re.search(shown(readme, "copier"), transcript), transcript
    project = tmp_path / "my-service"
    assert 'name = "post-office-service"' in (project / "pyproject.toml").read_text("utf-8")

    commit(project)
    plant(clone)
    commit(clone, tag=NEW)
    run(str(clone / ".tools/bin/uvx"), "copier", "update", "--defaults", cwd=project, **env)
    assert (project / ADDED).exists()

    # This very run is the third command's, and CI's.
    assert test in (REPOSITORY / ".ci/run").read_text().splitlines()
