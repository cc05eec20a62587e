"""A bake is a product: the same from both tools, complete, and valid as it stands."""

import re
import stat

import pytest
import yaml

from harness.bakery import BACKENDS, Baker, parse, tree
from harness.cells import BACKEND, TREES

# Where braces are meant: Jinja in the emails and in a page about them, GitHub's expressions.
BRACES = (
    "app/examples/",
    "app/mail/layout.html",
    "app/mail/parts.html",
    "app/web/home.html",
    "docs/add-an-email.md",
    "tests/mail/hello/",
    ".github/workflows/",
)
FOOTPRINT = {
    ".env.example",
    ".github/dependabot.yml",
    ".github/workflows/ci.yml",
    "app/commands/purge.py",
    "app/queue/attachments.py",
    "app/queue/delivery.py",
    "app/queue/development.py",
    "app/queue/failed.py",
    "app/queue/publisher.py",
    "app/queue/worker.py",
    "app/settings.py",
    "compose.yaml",
    "docs/architecture.md",
    "docs/queue.md",
    "migrations/versions/queue_0001.py",
    "pyproject.toml",
    "tests/mail/test_client.py",
    "tests/test_settings.py",
}
QUEUES = {"arq": ("arq", "redis", "valkey"), "celery": ("celery", "kombu", "rabbitmq", "amqp")}
"""The words that only a service with this queue has."""
NAMED = {
    ("none", "docs/queue.md"): "arq",  # how to get a queue
    ("arq", "docs/queue.md"): "celery",  # and how to get another
    # Redis is refused as Celery's broker.
    ("celery", "app/settings.py"): "redis",
    ("celery", "docs/queue.md"): "redis",
    ("celery", "tests/queue/test_publisher.py"): "redis",
    ("celery", "tests/queue/test_worker.py"): "redis",
}


@TREES
@BACKEND
def test_same_bytes(backend: str, answers: str, baked: Baker) -> None:
    """Cookiecutter and copier make identical files; copier adds only its answers."""
    ours, theirs = (baked(tool, backend, answers) for tool in ("cookiecutter", "copier"))

    assert tree(ours) == tree(theirs)
    assert not (ours / ".copier-answers.yml").exists()
    recorded = yaml.safe_load((theirs / ".copier-answers.yml").read_text())
    assert recorded["queue_backend"] == backend
    assert "cookiecutter" not in recorded
    assert [p.stat().st_mode for p in sorted(ours.rglob("*"))] == [
        p.stat().st_mode for p in sorted(theirs.rglob("*")) if p.name != ".copier-answers.yml"
    ]


@TREES
@BACKEND
def test_nothing_of_the_template_is_left(backend: str, answers: str, baked: Baker) -> None:
    """No unrendered tag, and no empty file."""
    for name, content in tree(baked("cookiecutter", backend, answers)).items():
        text = content.decode()
        assert text.strip(), name
        assert text.endswith("\n"), name
        assert not text.endswith("\n\n"), name
        assert not text.startswith("\n"), name
        assert "\r" not in text, name
        assert "cookiecutter" not in text.lower().replace("cookiecutter-fastapi-poststack", ""), (
            name
        )
        assert "# %" not in text, name
        if not name.startswith(BRACES):
            assert not re.search(r"\{[{%#]", text), name


@TREES
@BACKEND
def test_no_other_queue(backend: str, answers: str, baked: Baker) -> None:
    """No word of another queue is in a bake, but where one is named on purpose."""
    others = "|".join(word for queue, words in QUEUES.items() if queue != backend for word in words)
    found = {
        (backend, name): set(re.findall(rf"(?<![a-z])(?:{others})", content.decode().lower()))
        for name, content in tree(baked("cookiecutter", backend, answers)).items()
    }
    named = {place: {word} for place, word in NAMED.items() if place[0] == backend}
    assert {place: words for place, words in found.items() if words} == named


@TREES
@BACKEND
def test_modes(backend: str, answers: str, baked: Baker) -> None:
    """Nothing is run by its name, and so nothing is executable; no folder is empty."""
    project = baked("cookiecutter", backend, answers)
    found = {name for name in tree(project) if (project / name).stat().st_mode & stat.S_IXUSR}
    assert found == set()
    assert not [path for path in project.rglob("*") if path.is_dir() and not any(path.iterdir())]


@TREES
@BACKEND
def test_every_file_parses(backend: str, answers: str, baked: Baker) -> None:
    """Python, TOML, YAML and JSON files are valid."""
    assert parse(tree(baked("cookiecutter", backend, answers))) >= {".py", ".toml", ".yaml"}


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "none"])
def test_footprint(backend: str, baked: Baker) -> None:
    """Bakes that differ only in the queue differ only in the files that the design names."""
    without, ours = (tree(baked("cookiecutter", name)) for name in ("none", backend))
    differing = {
        name for name in without.keys() | ours.keys() if without.get(name) != ours.get(name)
    }
    extra = {"app/queue/connections.py" if backend == "celery" else "app/queue/jobs.py"}
    outside = {name for name in differing if not name.startswith("tests/queue/")}
    assert outside == FOOTPRINT | extra
