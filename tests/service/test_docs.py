"""A service's pages: followed to the letter, drawn, and right for unusual answers."""

import re
import shutil
from pathlib import Path

import pytest

from harness.bakery import UV, Baker, bake, run
from harness.cells import BACKEND
from harness.chromium import chromium, find_chromium
from harness.lock import once

# Each code block of the page but the commands follows a line that says where it belongs.
STEP = re.compile(
    r"^(?:New file|(?P<end>At the end of)|In) `(?P<file>[^`]+)`"
    r"(?:, (?P<side>above|below) `(?P<anchor>[^`]+)`)?:\n\n"
    r"```\w+\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def test_add_an_email(installed: Baker, tmp_path: Path) -> None:
    """Whoever follows the page has a new email whose checks are green."""
    project = shutil.copytree(installed(), tmp_path / "acme-mail", symlinks=True)
    page = (project / "docs/add-an-email.md").read_text()
    steps = list(STEP.finditer(page))
    assert len(steps) == len(re.findall(r"^```(?!console)\w+$", page, re.MULTILINE)) > 5
    assert len(re.findall(r"^## \d\. ", page, re.MULTILINE)) == 4

    for step in steps:
        file, code = project / step["file"], step["code"]
        if step["end"]:
            file.write_text(file.read_text() + code)
        elif step["anchor"]:
            before, anchor, after = file.read_text().partition(f"\n{step['anchor']}\n")
            assert anchor, step["anchor"]
            lines = (anchor, code) if step["side"] == "below" else (f"\n{code}", anchor[1:])
            file.write_text("".join((before, *lines, after)))
        else:
            assert not file.exists()
            file.parent.mkdir(exist_ok=True)
            file.write_text(code)
    new = {step["file"]: step["code"] for step in steps if not (step["end"] or step["anchor"])}

    *commands, everything = re.findall(r"^\$ uv run (.+)$", page, re.MULTILINE)
    assert commands[0] == "pytest tests/test_password_resets.py"
    assert everything == "poe check"
    # Its parts, with the tests that ask about a new email; the others are the same for every bake.
    asking = " ".join(f"tests/test_{name}.py" for name in ("docs", "emails", "openapi", "security"))
    for command in (*commands, "poe lint", "poe format", "poe types", f"pytest {asking}"):
        run(UV, "run", "--no-sync", *command.split(), cwd=project)
    assert {name: (project / name).read_text() for name in new} == new


@pytest.fixture(scope="session")
def mermaid(shared: Path) -> Path:
    """Mermaid, as GitHub uses it to draw."""
    if shutil.which("npm") is None:
        pytest.skip("no npm here, which brings Mermaid: install Node.js")
    folder = shared / "mermaid"
    with once(folder) as first:
        if first:
            folder.mkdir()
            run("npm", "install", "--silent", "mermaid@11.17.2", cwd=folder)
    return folder / "node_modules/mermaid/dist/mermaid.min.js"


@BACKEND
def test_diagram(backend: str, baked: Baker, mermaid: Path) -> None:
    """The picture of the message's path can be drawn, and names files that exist."""
    executable = find_chromium()
    if executable is None:
        pytest.skip("no Chromium here: `apt install chromium`, or name one in $CHROMIUM")
    project = baked("cookiecutter", backend)
    text = (project / "docs/architecture.md").read_text()
    [diagram] = re.findall(r"^```mermaid\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)

    with chromium(executable) as browser:
        page = browser.new_page()
        page.add_script_tag(path=str(mermaid))
        drawn = page.evaluate("(code) => mermaid.render('path', code)", diagram)["svg"]

    assert drawn.startswith("<svg")
    assert "PostStack" in drawn
    files = re.findall(r"app/[\w/.]+", diagram)
    assert len(files) > 5
    assert [file for file in files if not (project / file).exists()] == []
    for word, has in {"Redis": "arq", "RabbitMQ": "celery"}.items():
        assert (word in diagram) == (has == backend)


def test_unusual_answers(installed: Baker, template: Path, tmp_path: Path) -> None:
    """The page of settings is right for a name with a bar, and for a sender that may stay."""
    answers = {"project_name": "Tea | Co", "sender_email": "hello@Acme.dev"}
    project = bake("cookiecutter", template, tmp_path, answers)
    python = installed() / ".venv/bin/python"

    assert " passed" in run(str(python), "-m", "pytest", "tests/test_docs.py", cwd=project)
    page = (project / "docs/settings.md").read_text()
    assert "| `SENDER_EMAIL` | `hello@Acme.dev` |" in page
    assert r"| `SERVICE_NAME` | `Tea \| Co` |" in page
