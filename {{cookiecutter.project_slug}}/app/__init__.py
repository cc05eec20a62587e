"""The service; `README.md` shows the path that a message takes through it."""
