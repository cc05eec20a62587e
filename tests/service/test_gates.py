"""Two of the gates that keep the sandbox out of production; each holds without the other."""

import ast
import subprocess
from collections.abc import Iterator

import pytest

from harness.bakery import UV, Baker, environment
from harness.cells import BACKEND
from harness.ports import free_port
from harness.server import PRODUCTION

GUARD = "settings.sandbox"
IMPORTS, MOUNTS = "app/development.py", "app/application.py"
"""Where the sandbox is imported, in a function that is called where `GUARD` holds."""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POSTSTACK_API_KEY", "sk_test_sandbox"),
        ("POSTSTACK_BASE_URL", "http://127.0.0.1:8000/sandbox"),
        ("POSTSTACK_WEBHOOK_SECRET", "whsec_sandbox"),
        ("API_KEYS", "key_for_development"),
    ],
)
def test_settings_refuse_it(name: str, value: str, installed: Baker) -> None:
    """Production does not start with a key, URL or secret of local development; a line names it."""
    result = subprocess.run(
        [UV, "run", "--no-sync", "fastapi", "run", "--port", str(free_port())],
        cwd=installed(),
        env=environment(**PRODUCTION | {name: value}),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert result.returncode == 1
    [_, problem] = (result.stdout + result.stderr).split("The service cannot start:\n")
    assert problem.strip().startswith(f"{name} ")
    assert len(problem.strip().splitlines()) == 1


def imports(code: str) -> Iterator[tuple[str, bool]]:
    """Find the modules that `code` imports, and whether only where `GUARD` holds."""

    def walk(node: ast.AST, guarded: bool) -> Iterator[tuple[str, bool]]:
        match node:
            case ast.Import(names=names):
                yield from ((name.name, guarded) for name in names)
            case ast.ImportFrom(module=str(module)):
                yield module, guarded
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield module, guarded
            case ast.Call(func=ast.Name(id="mount_sandbox")):
                yield "sandbox", guarded
            case ast.If(test=test, body=body, orelse=orelse):
                inside = guarded or ast.unparse(test) == GUARD
                yield from (found for child in body for found in walk(child, inside))
                yield from (found for child in [test, *orelse] for found in walk(child, guarded))
                return
        for child in ast.iter_child_nodes(node):
            yield from walk(child, guarded)

    return walk(ast.parse(code), guarded=False)


def reaching(code: str) -> list[bool]:
    """List the imports of the sandbox in `code`: whether each is guarded."""
    return [guarded for module, guarded in imports(code) if module.split(".")[0] == "sandbox"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import sandbox", [False]),
        ("def f():\n    from sandbox.main import create_sandbox", [False]),
        ("importlib.import_module('sandbox.main')", [False]),
        ("if settings.sandbox:\n    import_module('sandbox.main')", [True]),
        ("mount_sandbox(app)", [False]),
        ("if not settings.sandbox:\n    pass\nelse:\n    import sandbox", [False]),
        ("import sandboxes\nfrom app import sandbox", []),
    ],
)
def test_imports_are_found(code: str, expected: list[bool]) -> None:
    """The next test sees an import in any form."""
    assert reaching(code) == expected


@BACKEND
def test_nothing_imports_it(backend: str, baked: Baker) -> None:
    """The service's code imports the sandbox once, and only where the settings ask for it."""
    project = baked("cookiecutter", backend)
    found = {
        path.relative_to(project).as_posix(): reached
        for path in sorted(project.rglob("app/**/*.py"))
        if (reached := reaching(path.read_text()))
    }

    assert found == {IMPORTS: [False], MOUNTS: [True]}
