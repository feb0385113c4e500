"""Writing files so that a name means a complete file: temporary name, fsync, rename.

Files that may hold personal data are readable by their owner only, whatever the umask: in an output
directory, which is known by its lock, everything below `PRIVATE_FOLDERS` (texts, tokens of texts
that may have gone since, raw bytes of quarantined rows, samples, ids) and `PRIVATE_FILES`. The
shards, which are made to be given away, and what describes them are as the umask says.

Where a file cannot be written, `OutputError` says so and how to go on. A path that was read from a
file of the output is used only if it stays in the output.

Also the content hash used for fingerprints. The only module besides the readers that opens files
for the pipeline, so that a test can put a fault in one place.
"""

import errno
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import xxhash

from pipeline.errors import OutputError, PrepareError, ShardError

CHUNK_BYTES = 1 << 20
ANEW = "`prepare run --mend` with the manifest writes it anew"
LOCK_NAME = "lock"  # of an output directory
REPORT_NAME = "report.html"  # the page on an output: it shows some of the texts
PRIVATE_FOLDERS = frozenset({"refined", "spool", "tokens", "edits", "dedup", "state"})
PRIVATE_FILES = frozenset({"pii.json", "decontamination.json", "tombstones.json", REPORT_NAME})
OWNER_ONLY = 0o077  # what others may not
# Why the system refuses to write, and what then helps.
FREE = "free some space there, or give another `output` on a larger disk"
OPEN = "want a folder that this user may write; mend that, or give another `output`"
UNWRITABLE = {
    errno.ENOSPC: FREE,
    errno.EDQUOT: FREE,
    errno.EFBIG: "want larger files to be allowed (`ulimit -f`, or the file system's limit)",
    errno.EROFS: OPEN,
    errno.EACCES: OPEN,
    errno.EPERM: OPEN,
    errno.ENOTDIR: OPEN,
}


def remove_page(out: Path) -> None:
    """Remove the page on an output before what it shows changes, or is taken out.

    It names the shards that it describes, and nobody compares that: texts that went since, and
    figures of another run, would be read as those of this one.
    """
    (out / REPORT_NAME).unlink(missing_ok=True)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success fsync it and rename it to `path`.

    A crash leaves at most a `.tmp-*` file, never a partial `path`. A file of a folder that only its
    owner may enter is readable by its owner only, from its first byte on. Raises `OutputError`
    where it cannot be written.
    """
    temporary = path.with_name(f".tmp-{uuid.uuid4().hex}-{path.name}")
    with writing(path):
        make_folder(path.parent)
        try:
            if _is_private(path.parent) or (path.name in PRIVATE_FILES and _is_output(path.parent)):
                temporary.touch(mode=0o600)  # who opens it to write leaves the mode as it is
            yield temporary
            with temporary.open("rb+") as handle:
                os.fsync(handle.fileno())
            temporary.rename(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise `OutputError` where the system does not let this file be written."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in UNWRITABLE:
            raise
        raise OutputError(
            f"{path}: cannot be written ({os.strerror(exc.errno)}); {UNWRITABLE[exc.errno]}; then "
            "run it again: what is done is kept"
        ) from exc


_NO_NAMES = frozenset(("", ".", ".."))


def check_inside(folder: Path, paths: Iterable[str]) -> None:
    """Raise `ShardError` for a path, relative to `folder`, that leads out of it.

    By `..`, as an absolute path, or through a link. Such paths come from files that anybody may
    have written: an index of shards, a record, a journal.
    """
    for path in paths:
        is_plain = isinstance(path, str) and "\0" not in path and path[:1] != "/"
        if is_plain and _NO_NAMES.isdisjoint(path.split("/")) and not _leads_out(folder, path):
            continue
        raise ShardError(
            f"{folder}: names the file {path!r}, which is not in it; want files of its own, by "
            "relative paths and without links out of it: somebody has changed it; take another "
            "copy, or prepare it again"
        )


def _leads_out(folder: Path, path: str) -> bool:
    """Whether a link on the way to `path` leads out of the folder; mostly there is none at all."""
    place = str(folder)
    for name in path.split("/"):
        place = f"{place}/{name}"
        if os.path.islink(place):  # noqa: PTH114 - 30,000 records name 60,000 files
            root = os.path.join(os.path.realpath(folder), "")  # noqa: PTH118 - ends with a separator
            return os.path.realpath(f"{folder}/{path}")[: len(root)] != root
    return False


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; below one that only its owner may enter, as private."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    is_private = _is_private(folder.parent) or (
        folder.name in PRIVATE_FOLDERS and _is_output(folder.parent)
    )
    folder.mkdir(mode=0o700 if is_private else 0o777, exist_ok=True)


def protect(out: Path) -> None:
    """Close the private folders and files of an output that an earlier version left open."""
    for name in PRIVATE_FOLDERS | PRIVATE_FILES:
        path = out / name
        if path.exists() and path.stat().st_mode & OWNER_ONLY:
            path.chmod(0o700 if path.is_dir() else 0o600)


def _is_private(folder: Path) -> bool:
    return not folder.stat().st_mode & OWNER_ONLY


def _is_output(folder: Path) -> bool:
    return (folder / LOCK_NAME).is_file()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path: Path, how: str = ANEW) -> dict[str, Any]:
    """A mapping that `write_json` wrote.

    Raises `PrepareError` where it is gone or damaged; `how` says what then helps.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as exc:  # UnicodeDecodeError is a ValueError
        raise PrepareError(f"{path}: cannot be read ({exc}); {how}") from exc
    if not isinstance(value, dict):
        raise PrepareError(f"{path}: got a {type(value).__name__}, want a mapping; {how}")
    return value


@contextmanager
def arrow_writer(path: Path, schema: pa.Schema) -> Iterator[pa.ipc.RecordBatchFileWriter]:
    """An atomic, uncompressed Arrow IPC file writer."""
    with (
        atomic(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, schema) as writer,
    ):
        yield writer


def remove_empty_folders(folder: Path) -> None:
    """Remove every folder below this one that holds no file, however deep."""
    below = (path for path in folder.rglob("*") if path.is_dir())
    for path in sorted(below, reverse=True):  # a folder stands before what is in it
        if not any(path.iterdir()):
            path.rmdir()


def file_hash(path: Path, algorithm: Literal["xxh3_128", "sha256"] = "xxh3_128") -> str:
    """Hash of a file's bytes as hex digits: xxh3-128 for fingerprints, sha256 for evidence."""
    digest = xxhash.xxh3_128() if algorithm == "xxh3_128" else hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(CHUNK_BYTES):
            digest.update(chunk)
    return str(digest.hexdigest())
