"""What a maintainer types: `uv run python -m tools.<name>`."""
