"""What an operator types: `uv run poe purge`, `uv run poe suppressions`."""
