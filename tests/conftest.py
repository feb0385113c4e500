"""Settings of the whole suite."""

import os

from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing may be downloaded, in this process or below it

# Machines are shared: an example that waits for a core, or for numba, is not a slow example.
settings.register_profile("headwater", deadline=None)
settings.load_profile("headwater")
