"""Send in the background: best effort, for mail that may be lost."""
