"""Markdown pages: the commands that they tell a reader to type."""

import re
from pathlib import Path


def commands(page: Path) -> list[str]:
    """List the commands of the console blocks, in their order."""
    text = page.read_text("utf-8")
    blocks = re.findall(r"^ *```console\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    lines = (line.lstrip() for block in blocks for line in block.splitlines())
    return [line[2:] for line in lines if line[:2] == "$ "]
