"""An example of each way to send, and of a secret: copy one, and remove them for your own."""
