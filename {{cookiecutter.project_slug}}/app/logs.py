"""What the service says while it runs."""

import logging


def configure() -> None:
    """Show our own lines from INFO on, and those of the libraries from WARNING on.

    Some libraries tell at INFO what they were given: arq a job's arguments, recipient included.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("app").setLevel(logging.INFO)
