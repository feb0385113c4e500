"""What the tests of the readers share: write, read all, and list what came out."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import pytest

from pipeline.sources import DOCUMENT, QUARANTINE, Reader, Rows, Slice, SourceConfig, open_reader

LIMIT = 10_000_000


class Read(NamedTuple):
    """All documents and quarantined rows of a source, as lists in the order read."""

    documents: list[dict[str, Any]]
    quarantined: list[dict[str, Any]]

    @property
    def texts(self) -> list[str]:
        return [row["text"] for row in self.documents]

    @property
    def reasons(self) -> list[tuple[int, str]]:
        return [(row["source_row"], row["reason"]) for row in self.quarantined]


def collect(batches: Iterator[Rows]) -> Read:
    documents, quarantined = [], []
    for rows in batches:
        assert rows.documents.schema == DOCUMENT
        assert rows.quarantined.schema == QUARANTINE
        rows.documents.validate(full=True)  # UTF-8 among others
        rows.quarantined.validate(full=True)
        assert rows.documents.num_rows <= 1000
        documents += rows.documents.to_pylist()
        quarantined += rows.quarantined.to_pylist()
    return Read(documents, quarantined)


def read_all(reader: Reader) -> Read:
    """Every input whole, and check that its slices give the same rows in the same order."""
    documents, quarantined = [], []
    for item in reader.inputs():
        whole = collect(reader.read(Slice(input=item)))
        pieces = [collect(reader.read(piece)) for piece in reader.split(item)]
        assert [row for piece in pieces for row in piece.documents] == whole.documents
        assert sorted(map(str, (r for p in pieces for r in p.quarantined))) == sorted(
            map(str, whole.quarantined)
        )
        documents += whole.documents
        quarantined += whole.quarantined
    return Read(documents, sorted(quarantined, key=lambda row: row["source_row"]))


def reader_of(base: Path, *, limit: int = LIMIT, **config: Any) -> Reader:
    return open_reader(SourceConfig(name="domain", **config), base, limit)


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Read]:
    """Write `data` to one file below the manifest's folder and read it by the given config."""

    def go(data: bytes, *, limit: int = LIMIT, name: str = "data", **config: Any) -> Read:
        (tmp_path / name).write_bytes(data)
        return read_all(reader_of(tmp_path, limit=limit, paths=[name], **config))

    return go


@pytest.fixture
def memory() -> Iterator[Any]:
    """fsspec's in-memory file system, emptied."""
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    yield filesystem
    filesystem.store.clear()
