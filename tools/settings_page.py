"""Write the service's docs/settings.md from fresh bakes: `uv run python -m tools.settings_page`."""

import tempfile
from itertools import takewhile
from pathlib import Path

from harness.bakery import BACKENDS, REPOSITORY, SERVICE, UV, bake, copy_template, run

NAME, SLUG, ADDRESS = "Zebra Post", "zebra-post", "zebra@example.com"
QUEUE = "cookiecutter.queue_backend"
NEEDED = " **required in production**"
PLACEHOLDER = (
    "cookiecutter.sender_email.lower().endswith(('@example.com', '@example.net', '@example.org'))"
)


def page(backend: str, template: Path, folder: Path) -> str:
    """Let a bake write its page, and put the template's variables back where its answers stand."""
    answers = {"queue_backend": backend, "project_name": NAME, "sender_email": ADDRESS}
    project = bake("cookiecutter", template, folder / backend, answers)
    run(UV, "run", "--quiet", "poe", "settings", cwd=project)
    text = (project / "docs/settings.md").read_text()
    text = text.replace(f"`{SLUG}`", "`{{ cookiecutter.project_slug }}`")
    return text.replace(NAME, r"{{ cookiecutter.project_name | replace('|', '\\|') }}").replace(
        f"`{ADDRESS}`{NEEDED}",
        f"`{{{{ cookiecutter.sender_email }}}}`{{{{ '{NEEDED}' if {PLACEHOLDER} else '' }}}}",
    )


def main() -> None:
    """Write what all queues have, and what each has more, under a condition."""
    with tempfile.TemporaryDirectory() as folder:
        template = copy_template(Path(folder) / "template", post_gen=False)
        pages = {backend: page(backend, template, Path(folder)) for backend in BACKENDS}
    bakes = {backend: text.splitlines(keepends=True) for backend, text in pages.items()}
    together = zip(*bakes.values(), strict=False)  # as far as the shortest goes
    lines = [same[0] for same in takewhile(lambda same: len(set(same)) == 1, together)]
    shared = len(lines)
    for backend, rows in bakes.items():
        if len(rows) > shared:
            lines.append(f'# % {"elif" if lines[shared:] else "if"} {QUEUE} == "{backend}"\n')
            lines += rows[shared:]
    destination = REPOSITORY / SERVICE / "docs/settings.md"
    destination.write_text("".join([*lines, "# % endif\n"]))


if __name__ == "__main__":
    main()
