"""A folder that is there whole or not at all: what an export or an import writes into."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import OutputError, UsageError


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield a folder `.partial-NAME` beside `target`; on success it becomes `target`.

    Every file is synced before the rename. An error removes the partial folder; what a killed
    process left is removed by the next that writes the same target. Raises `UsageError` where the
    target holds something, or another process writes it, `OutputError` where it cannot be written.
    """
    given, target = target, target if target.is_symlink() else target.resolve()
    if Path.cwd().is_relative_to(target):
        raise UsageError(f"{given}: is the folder that this runs in; give --to another name")
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise UsageError(f"{given}: is there already; give another --to, or remove it first")
    partial = target.with_name(f".partial-{target.name}")
    try:
        partial.mkdir(parents=True, exist_ok=True)
        lock = os.open(partial, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as exc:
        raise _unwritable(target, exc) from exc
    try:
        _lock(lock, partial, target)  # let go by the system however this process ends
        _clear(partial)
        try:
            yield partial
            _sync(partial)
            partial.rename(target)
        except BaseException as exc:
            shutil.rmtree(partial, ignore_errors=True)
            refused = exc.__cause__ if isinstance(exc, OutputError) else exc
            if isinstance(refused, OSError):
                raise _unwritable(target, refused) from exc
            raise
    finally:
        os.close(lock)


def _unwritable(target: Path, error: OSError) -> OutputError:
    where = error.filename or target
    return OutputError(
        f"{where}: {error.strerror or error}; nothing was left behind: free some space or give "
        "another --to, and run it again"
    )


def _lock(handle: int, partial: Path, target: Path) -> None:
    message = f"{target}: another process is writing it; wait until it ends, or give another --to"
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise UsageError(message) from exc
    # The one that held the lock may just have renamed the folder that this handle is of.
    if not partial.exists() or not os.path.samestat(os.fstat(handle), partial.stat()):
        raise UsageError(message)


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as handle:
                os.fsync(handle.fileno())
