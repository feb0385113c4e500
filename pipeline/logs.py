"""The log of a process that is Headwater's own: warnings and errors, a line each, on stderr."""

import logging


def log_warnings() -> None:
    """Set up the root logger anew: Beam has set it up when it was imported."""
    logging.basicConfig(
        level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", force=True
    )
