"""The largest resident set of this process, as Linux knows it.

`ru_maxrss` of a process begins at that of the one which started it, and never falls.
"""

import re
from pathlib import Path


def forget() -> int:
    """Begin anew with what is held now, which is returned, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


def peak_bytes() -> int:
    """Since the process began, or since `forget`."""
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(peak) * 1024
