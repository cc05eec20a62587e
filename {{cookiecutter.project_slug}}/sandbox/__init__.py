"""A PostStack on localhost, with a mailbox page. For development and tests only.

Nothing in `app/` imports this package except the development branch of `app.main`, and the
production image does not contain it.
"""
