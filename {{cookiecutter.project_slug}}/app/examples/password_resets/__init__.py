"""Send a secret: a link that no log may have and no queue may keep."""
