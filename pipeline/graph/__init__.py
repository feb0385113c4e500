"""The Beam graph. Beam is imported here first, because it logs a warning about `apitools`, which
Headwater does not use, through a root handler that it installs itself."""

import logging

logging.disable(logging.WARNING)
import apache_beam  # noqa: E402, F401

logging.disable(logging.NOTSET)
