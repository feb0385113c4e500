"""Resident memory of this process and of those that it started."""

import os
from pathlib import Path

PROC = Path("/proc")


def resident_bytes() -> int | None:
    """Of the driver and its worker processes; None where the system has no /proc.

    A page that several of them share, such as one of a mapped model, counts in each.
    """
    if not (PROC / "self/statm").is_file():
        return None
    own = os.getpid()
    return sum(_resident(pid) for pid in [own, *_children(own)])


def _children(pid: int) -> list[int]:
    """Direct children, whichever thread started them; the pool's workers have none."""
    found: list[int] = []
    for thread in (PROC / str(pid) / "task").iterdir():
        try:
            found += map(int, (thread / "children").read_text().split())
        except OSError:  # the thread is gone, or the kernel was built without the list
            continue
    return found


def _resident(pid: int) -> int:
    try:
        pages = int((PROC / str(pid) / "statm").read_text().split()[1])
    except OSError:
        return 0  # it ended meanwhile
    return pages * os.sysconf("SC_PAGE_SIZE")
