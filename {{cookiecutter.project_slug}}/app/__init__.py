"""The service; `docs/architecture.md` shows the path of a message through it."""
