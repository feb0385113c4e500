"""What the graph knows of a source: its inputs, their slices, and the rows of a slice."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from pipeline.sources.schema import Rows

# A work item of a few seconds: small enough that a killed one costs little, large enough that its
# record and its pipeline (50 ms) do not count.
SPLIT_BYTES = 32 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """One file of a source, or something like one: a shard of a dataset, a README."""

    path: str  # what fsspec opens, or a pseudo-URL such as hf://...
    relative: str  # `source_path` of its rows: the same on every machine
    size_bytes: int | None = None  # as stored, so compressed if it is
    modified: str | None = None  # mtime in ns, or an etag: when it is the same, so are the bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """`[start, end)` of an input, in its reader's own unit; `end` None means to the end.

    The unit is bytes for lines, row groups for Parquet, record batches for Arrow, and rows for a
    dataset that is not streamed.
    """

    input: Input
    start: int = 0
    end: int | None = None


class Reader(Protocol):
    """One format of one source. Frozen, picklable and cheap to construct in a worker."""

    def inputs(self) -> list[Input]:
        """All inputs, sorted by `relative`.

        Raises SourceError where a path matches nothing or cannot be read.
        """
        ...

    def is_splittable(self, item: Input) -> bool:
        """Whether `split` can cut it; otherwise the graph reads a large one once into chunks."""
        ...

    def split(self, item: Input) -> list[Slice]:
        """Slices in order, each about `SPLIT_BYTES` of work; one where it cannot be cut."""
        ...

    def read(self, piece: Slice) -> Iterator[Rows]:
        """The rows whose beginning lies in the slice, in order.

        Every row is in exactly one of `documents` and `quarantined`. Bad data never raises; an
        input that has vanished since `inputs` raises SourceError.
        """
        ...

    def fingerprint(self, item: Input) -> str:
        """Hash of the contents: another one means other rows."""
        ...
