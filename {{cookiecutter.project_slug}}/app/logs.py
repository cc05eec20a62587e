"""What the service says while it runs."""

import logging


def configure() -> None:
    """Show our own lines from INFO on, and those of the libraries from WARNING on.

    At INFO some libraries tell what they were given, and so whom we write to.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("app").setLevel(logging.INFO)
