"""The service; `docs/architecture.md` shows the path that a message takes through it."""
