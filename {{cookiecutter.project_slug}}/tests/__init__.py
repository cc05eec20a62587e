"""Assert what PostStack received, on the wire."""
