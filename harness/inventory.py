"""The names of a service that people and machines outside it use: its public interface."""

import json
import re
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.bakery import run

# Run by the bake's own Python.
ASK = """
import importlib, json, os, pkgutil, re, sqlite3
import app
from app.main import app as service
from app.mail.message import Message
from app.settings import Settings

def required(document, operation):
    yield from (scheme for choice in operation.get("security", []) for scheme in choice)
    for parameter in operation.get("parameters", []):
        if parameter.get("required"):
            yield parameter["name"]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content.get("schema", {})
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        yield from schema.get("required", [])

document = service.openapi()
routes = {
    f"{method.upper()} {path}": sorted(set(required(document, operation)))
    for path, operations in document["paths"].items()
    for method, operation in operations.items()
}
# Its migrations have made the tables, or until 0.2.0 the modules that use them.
database = sqlite3.connect(os.environ["DATABASE_URL"].removeprefix("sqlite:///"))
for module in pkgutil.walk_packages(app.__path__, "app."):
    schema = getattr(importlib.import_module(module.name), "SCHEMA", None)
    if isinstance(schema, str):
        database.executescript(schema)
tables = dict(database.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
settings = [name.upper() for name in Settings.model_fields]
message = {
    name: re.sub(" at 0x[0-9a-f]+", "", str(field.annotation))  # of the functions that validate it
    for name, field in Message.model_fields.items()
}
found = {"routes": routes, "tables": tables, "settings": settings, "message": message}
print(json.dumps(found))
"""
REQUIRED = """
import os, sys
try:
    import app.main
except SystemExit as problems:
    print(problems.code)
"""
RUN_BY_NAME = re.compile(r'__name__ == "__main__"|= Celery\(')


@dataclass(frozen=True)
class Inventory:
    """The public interface of one version of a service."""

    routes: dict[str, list[str]]
    """What each demands of a request."""
    tables: dict[str, str]
    message: dict[str, str]
    """The fields of what is in queues, which the old and the new worker must both read."""
    settings: set[str]
    required: set[str]
    """The settings that production does not start without."""
    commands: set[str]
    python: str


def take(project: Path) -> Inventory:
    """Take the inventory of an installed bake."""
    python = (".venv/bin/python", "-c")
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "FASTAPI_ENV": "development",
            "DATABASE_URL": f"sqlite:///{folder}/inventory.sqlite3",
        }
        asked: dict[str, Any] = json.loads(run(*python, ASK, cwd=project, **settings))
    problems = run(*python, REQUIRED, cwd=project, FASTAPI_ENV="production")
    pyproject = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    return Inventory(
        routes=asked["routes"],
        tables=asked["tables"],
        message=asked["message"],
        settings=set(asked["settings"]),
        required=set(re.findall(r"^  ([A-Z_]+) ", problems, re.MULTILINE)),
        commands={f"poe {name}" for name in pyproject["tool"]["poe"]["tasks"]} | modules(project),
        python=f"Python {pyproject['project']['requires-python']}",
    )


def modules(project: Path) -> set[str]:
    """Find the modules that are run by their name."""
    return {
        ".".join(path.relative_to(project).with_suffix("").parts)
        for path in project.glob("app/**/*.py")
        if RUN_BY_NAME.search(path.read_text("utf-8"))
    }


def work(old: Inventory, new: Inventory) -> Iterator[str]:
    """Name what an update from `old` to `new` breaks or demands outside the service."""
    yield from old.routes.keys() - new.routes.keys()
    yield from (
        name
        for name in old.routes.keys() & new.routes.keys()
        if set(new.routes[name]) - set(old.routes[name])
    )
    yield from (name for name, sql in old.tables.items() if new.tables.get(name) != sql)
    for field in old.message.keys() | new.message.keys():
        if old.message.get(field) != new.message.get(field):
            yield f"Message.{field}"
    yield from old.settings - new.settings
    yield from new.required - old.required
    yield from old.commands - new.commands
    if new.python != old.python:
        yield new.python


def unnamed(names: Iterator[str], text: str) -> set[str]:
    """Find the names that a text does not mention; of a route, its path is enough."""
    return {
        name
        for name in names
        if not re.search(rf"(?<![\w/-]){re.escape(spoken(name))}(?![\w/-])", text)
    }


def spoken(name: str) -> str:
    """Return what a text calls it: a route by its path."""
    method, _, path = name.partition(" /")
    return f"/{path}" if path else method
