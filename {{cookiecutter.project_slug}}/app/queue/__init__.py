"""How mail that must not be lost gets from a request to `app.mail.sender.send`."""
