"""What filters read besides the documents: models and lists, known by their contents."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from filters.chain import Chain
from pipeline.files import file_hash


def file_hashes(specs: Sequence[Mapping[str, Any]], base: Path) -> list[list[str]]:
    """Hashes of the contents of the `files` of each filter, for fingerprints.

    Relative paths are below `base`, which makes no difference to the hashes. A folder counts with
    all files below it. What is not there counts as none: a filter says so itself when it is loaded.
    """
    return [
        [digest for path in getattr(rule, "files", ()) for digest in _hashes(Path(path))]
        for _, rule in Chain.of(*specs, base=base).filters
    ]


def _hashes(path: Path) -> Iterator[str]:
    path = path.expanduser()
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in files:
        if file.is_file():
            stat = file.stat()
            name = "" if file == path else f"{file.relative_to(path).as_posix()}="
            yield name + _hash(file, stat.st_size, stat.st_mtime_ns)


@cache
def _hash(path: Path, size: int, modified: int) -> str:
    """Of a model of gigabytes, once a run: size and time only tell whether it has changed since."""
    return file_hash(path)
