"""A PostStack on localhost, with a mailbox page. For development and tests only.

It imports nothing of `app/`, and the production image does not contain it.
"""
