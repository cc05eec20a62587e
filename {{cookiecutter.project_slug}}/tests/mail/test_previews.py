"""Previews: each email of the service renders with its sample; a broken one says what is wrong."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.mail import previews as module
from app.mail import rendering
from app.mail.previews import previews
from app.mail.rendering import TEMPLATES, environment
from app.settings import Settings


def test_every_email(settings: Settings) -> None:
    """Each email of the service has a `sample.json`, and renders with it."""
    made = previews(settings)
    assert {email: body["error"] for email, body in made.items() if "error" in body} == {}
    assert len(made) == len(list(TEMPLATES.rglob("subject.txt")))


@pytest.fixture
def hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the service's only email."""
    folder = shutil.copytree(Path(__file__).with_name("hello"), tmp_path / "app" / "hello")
    monkeypatch.setattr(module, "TEMPLATES", folder.parent)
    monkeypatch.setattr(rendering, "TEMPLATES", [folder.parent, TEMPLATES])
    environment.cache_clear()
    yield folder
    environment.cache_clear()


@pytest.mark.usefixtures("hello")
def test_preview(settings: Settings) -> None:
    """A preview is what PostStack would receive, always the same."""
    [(template, body)] = previews(settings).items()
    assert (template, body["subject"], body["text"]) == ("hello", "Hello Ada", "Ada")
    assert (body["to"], body["idempotency_key"]) == (["ada@example.com"], "preview:hello")
    assert previews(settings) == {template: body}


@pytest.mark.parametrize(
    ("file", "change", "error"),
    [
        ("sample.json", ("}", ""), "app/hello/sample.json is not JSON: Expecting ',' delimiter: "),
        ("sample.json", ('{"name": "Ada"}', "[]"), "app/hello/sample.json is not a JSON object"),
        ("sample.json", ("name", "nom"), "app/hello/subject.txt, line 1: 'name' is undefined. "),
        ("body.html", ("name", "nom"), "app/hello/body.html, line 3: 'nom' is undefined. Corr"),
        ("body.txt", ("name", "name |"), "app/hello/body.txt, line 1: expected token 'name', "),
        ("body.txt", ("name", "name / 2"), "app/hello/body.txt, line 1: unsupported operand"),
        ("subject.txt", ("Hello", "Hello" * 200), "1 validation error for Message\nsubject\n"),
    ],
)
def test_broken(
    hello: Path, settings: Settings, file: str, change: tuple[str, str], error: str
) -> None:
    """A broken sample or template is named with its line, and is no exception."""
    path = hello / file
    path.write_text(path.read_text("utf-8").replace(*change), "utf-8")
    assert previews(settings)["hello"]["error"].startswith(error)


@pytest.mark.parametrize("file", ["sample.json", "body.txt"])
def test_missing(hello: Path, settings: Settings, file: str) -> None:
    """So is a missing one."""
    (hello / file).unlink()
    assert f"hello/{file}" in previews(settings)["hello"]["error"]
