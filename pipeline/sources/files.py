"""Finding and opening the files of a source: local paths, globs and any fsspec URL."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO

import fsspec
import pyarrow as pa
import xxhash
from fsspec.core import OpenFile
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import glob_translate

from pipeline.errors import SourceError
from pipeline.sources.compression import CHUNK_BYTES, MAGIC_BYTES, compression_of
from pipeline.sources.config import SourceConfig
from pipeline.sources.protocol import Input

GLOB = frozenset("*?[")
# What Arrow's readers raise for a damaged file; the last for a name of a column.
ARROW_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError)
ETAGS = ("mtime_ns", "ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created")


def find_inputs(source: SourceConfig, base: Path) -> list[Input]:
    """Files that the source's paths match, each once, sorted by `relative`.

    Local paths are relative to `base`, the manifest's folder. Raises SourceError where a path
    matches nothing, is a folder, or cannot be read.
    """
    found: dict[str, Input] = {}
    for index, pattern in enumerate(source.paths):
        where = f"source {source.name!r}: paths.{index} {pattern!r}"
        matches = _find_local(pattern, base) if is_local(pattern) else _find_url(pattern, where)
        if not matches:
            raise SourceError(f"{where}: {_why_nothing(pattern, base)}")
        found.update((item.relative, item) for item in matches)
    for item in found.values():
        if is_local(item.path) and not os.access(item.path, os.R_OK):
            raise SourceError(
                f"source {source.name!r}: {item.relative}: got a file that this user may not read, "
                "want read permission"
            )
    return [found[relative] for relative in sorted(found)]


def is_local(path: str) -> bool:
    """Whether `path` is a plain path, not a URL or a chain of them."""
    return "://" not in path and "::" not in path


def _find_local(pattern: str, base: Path) -> list[Input]:
    whole = base / pattern
    # A file may have a bracket in its name: what exists is meant as it stands.
    names = [str(whole)] if whole.is_file() else _glob(str(whole))
    return [found for name in names if (found := _local_input(name, base)) is not None]


def _glob(pattern: str) -> list[str]:
    """As fsspec globs, which looks at every file once more than the usual `folder/*.name` needs."""
    folder, name = os.path.split(pattern)
    if GLOB & set(folder) or "**" in name or not name:
        found: list[str] = LocalFileSystem().glob(pattern)
        return found
    matches = re.compile(glob_translate(name)).match
    try:
        return sorted(f"{folder}/{one}" for one in os.listdir(folder) if matches(one))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []


def _local_input(name: str, base: Path) -> Input | None:
    """The input of a local file, named relative to `base` with forward slashes; None if it is none.

    Of 100,000 files: `Path` objects would take five times as long as the file system.
    """
    try:
        stat = os.stat(name)  # noqa: PTH116
    except OSError:
        return None
    if not S_ISREG(stat.st_mode):
        return None
    start = f"{base}/"
    is_below = name.startswith(start) and "/." not in name and "//" not in name
    relative = name[len(start) :] if is_below else Path(os.path.relpath(name, base)).as_posix()
    return Input(
        path=name, relative=relative, size_bytes=stat.st_size, modified=str(stat.st_mtime_ns)
    )


def _find_url(pattern: str, where: str) -> list[Input]:
    try:
        filesystem, path = fsspec.core.url_to_fs(pattern)
        found = filesystem.glob(path, detail=True) if GLOB & set(path) else {}
        if not found and filesystem.isfile(path):
            found = {path: filesystem.info(path)}
    except (OSError, ValueError, ImportError, RuntimeError) as exc:
        raise SourceError(
            f"{where}: cannot be opened ({exc}); want a URL that fsspec knows"
        ) from exc
    return [
        _remote_input(_url(pattern, filesystem, name), info)
        for name, info in found.items()
        if info.get("type") == "file"
    ]


def _url(pattern: str, filesystem: Any, name: str) -> str:
    """Put a name back into the pattern's chain: `zip://*.txt::b.zip` gives `zip://a.txt::b.zip`."""
    head, chain, tail = pattern.partition("::")
    if chain and "://" not in head:  # a cache in front: its names are those of what it caches
        inner = tail.partition("://")[0]
        return f"{head}::{inner}://{name.removeprefix('/')}"
    return f"{filesystem.unstrip_protocol(name)}{chain}{tail}"


def _remote_input(url: str, info: dict[str, Any]) -> Input:
    etag = next((str(info[key]) for key in ETAGS if info.get(key) is not None), None)
    return Input(path=url, relative=url, size_bytes=info.get("size"), modified=etag)


def _why_nothing(pattern: str, base: Path) -> str:
    if is_local(pattern) and (base / pattern).is_dir():
        return f"got a folder, want files; write {pattern.rstrip('/') + '/**/*'!r} for all below it"
    kind = "no file matches" if GLOB & set(pattern) else "there is no such file"
    place = f" under {base}" if is_local(pattern) else ""
    return f"{kind}{place}; want a path or glob relative to the manifest's folder, or a URL"


@contextmanager
def open_bytes(item: Input) -> Iterator[BinaryIO]:
    """The stored bytes of an input. Raises SourceError when it is no longer there."""
    try:
        opened = _open(item.path)
        handle = opened.open()
    except OSError as exc:
        message = f"{item.relative}: cannot be opened ({exc}); it was there at the start"
        raise SourceError(message) from exc
    with handle:
        yield handle


def _open(path: str) -> OpenFile:
    # An OpenFile holds its file system: an archive's closes when nothing holds it any more.
    if is_local(path):
        return OpenFile(LocalFileSystem(), path, "rb")
    return OpenFile(*fsspec.core.url_to_fs(path), "rb")


def check_unchanged(item: Input) -> None:
    """Raise `SourceError` where a local file is not what it was when the run began.

    What was read of it may be half of this file and half of another, and of neither whose contents
    the item is named after. A URL is not asked again.
    """
    if not is_local(item.path) or item.modified is None:
        return
    try:
        stat = os.stat(item.path)  # noqa: PTH116 - as `_local_input`
    except OSError as exc:
        message = f"{item.relative}: is gone ({exc.strerror}); it was there at the start"
        raise SourceError(message) from exc
    if (stat.st_size, str(stat.st_mtime_ns)) != (item.size_bytes, item.modified):
        raise SourceError(
            f"{item.relative}: changed while it was read ({item.size_bytes:,} bytes at the start, "
            f"{stat.st_size:,} now); want files that nobody writes meanwhile; run it again when it "
            "is whole"
        )


@contextmanager
def open_arrow(item: Input) -> Iterator[pa.NativeFile]:
    """The same for Arrow's readers, without Python in between for a local file."""
    with open_bytes(item) as handle:
        source = pa.OSFile(item.path) if is_local(item.path) else pa.PythonFile(handle, "r")
        with source:
            yield source


def compression(handle: BinaryIO) -> str | None:
    """gz, zst, bz2, xz or None by content; leaves the handle at its beginning."""
    head = handle.read(MAGIC_BYTES)
    handle.seek(0)
    return compression_of(head)


def content_hash(item: Input) -> str:
    """xxh3-128 of the stored bytes, as hex digits."""
    digest = xxhash.xxh3_128()
    with open_bytes(item) as handle:
        while chunk := handle.read(CHUNK_BYTES):
            digest.update(chunk)
    return str(digest.hexdigest())
