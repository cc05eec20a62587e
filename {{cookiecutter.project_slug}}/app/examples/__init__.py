"""Three ways to send, an example each: copy one, and remove them when yours are there."""
