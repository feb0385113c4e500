"""The folder that a sample and its runs are in, which goes however the plan ends.

It holds texts as they were before anything was taken out of them. SIGTERM and SIGHUP would end the
process at once; here they raise `SystemExit`, so that what is open is closed, as it is by Ctrl-C.
A process that is killed outright leaves its folder, unlocked: the next plan deletes it.
"""

import fcntl
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from pipeline.interrupts import uninterrupted

PREFIX = "prepare-plan-"
ENDS = (signal.SIGTERM, signal.SIGHUP)
YOUNG_SECONDS = 60  # a folder may not be locked yet


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """An empty folder, deleted at the end. Processes that write there have to end before."""
    delete_left()
    with _unwinding():
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = os.open(folder, os.O_RDONLY)
        try:
            with suppress(OSError):  # a file system without locks: nobody else will delete it
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
        finally:
            with uninterrupted(signal.SIGINT, *ENDS):  # another Ctrl-C must not leave half of it
                shutil.rmtree(folder)
                os.close(lock)


def delete_left() -> None:
    """Delete what plans of this user left that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # gone meanwhile, another user's, or locked by a plan at work
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                found = os.fstat(lock)
                if found.st_uid == os.getuid() and time.time() - found.st_mtime > YOUNG_SECONDS:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
            finally:
                os.close(lock)


@contextmanager
def _unwinding() -> Iterator[None]:
    """Signals that end a process raise `SystemExit` with the exit code that a shell tells of them.

    Only the main thread may say so; a signal that is ignored, as by nohup, stays so.
    """
    is_main = threading.current_thread() is threading.main_thread()
    changed = [n for n in ENDS if is_main and signal.getsignal(n) == signal.SIG_DFL]
    for number in changed:
        signal.signal(number, _exit)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _exit(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)
