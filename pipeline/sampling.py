"""A sample of a manifest's documents as they are read: spread over the inputs, always the same.

The share of a source follows its size as stored, but no source has less than a tenth of an equal
share. Of a source, files come in the order of the hash of seed and name, and of each file, in
rounds, another slice of about 1 MB (or a row group, or a dataset's shard), of which the first rows
are taken. A file that cannot be split is one slice, so that of such files the beginnings are read.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Any

import pyarrow as pa
import xxhash

from pipeline.inputs import list_inputs
from pipeline.plan import Plan
from pipeline.sources.protocol import Input, Reader, Slice
from pipeline.sources.schema import document_schema

SLICE_BYTES = 1 << 20
MIN_ROWS = 50  # of a slice: opening a remote file costs more than reading these
MORE_ROWS = 1.25  # times as many rows of each slice, or more, where those of all were too few
MIN_SHARE = 0.1  # of an equal share


@dataclass(frozen=True, slots=True)
class SourceSample:
    """Sampled documents of one source, DOCUMENT, in the order in which they were chosen."""

    source: str
    documents: pa.RecordBatch
    num_files: int  # that documents come from
    num_all_files: int
    num_quarantined: int  # rows met on the way that could not be read
    is_whole: bool  # everything was read


@dataclass(slots=True)
class _Taken:
    """Documents that were taken from slices so far."""

    batches: list[pa.RecordBatch]
    files: set[str]
    num_rows: int = 0
    num_quarantined: int = 0
    is_whole: bool = True  # no slice had more than was taken

    def add(self, reader: Reader, piece: Slice, num_rows: int) -> None:
        """Up to `num_rows` rows from the beginning of a slice."""
        left = num_rows
        for rows in reader.read(piece):
            self.num_quarantined += rows.quarantined.num_rows
            if rows.documents.num_rows > left:
                self.is_whole = False
            taken = rows.documents.slice(0, left)
            if taken.num_rows:
                self.batches.append(taken)
                self.files.add(piece.input.path)
                self.num_rows += taken.num_rows
                left -= taken.num_rows
            if not left:
                # There may be more; a slice that ends just here is as good as cut.
                self.is_whole = False
                return


def sample(plan: Plan, num_documents: int) -> list[SourceSample]:
    """Up to `num_documents` documents of all sources, in the manifest's order of sources.

    Fewer where a source has fewer than its share. The answer depends on the manifest and the inputs
    alone. Raises `SourceError` where a source has no input.
    """
    inputs = list_inputs(plan)
    numbers = shares([_num_bytes(files) for files in inputs.values()], num_documents)
    return [
        _sample_source(plan, source, files, number)
        for (source, files), number in zip(inputs.items(), numbers, strict=True)
    ]


def shares(sizes: Sequence[int | None], num_documents: int) -> list[int]:
    """How many documents of each source; a size that is not known counts as the mean of the others.

    At least 1 of each.
    """
    known = [size for size in sizes if size]
    mean = sum(known) / len(known) if known else 1
    weights = [size or mean for size in sizes]
    least = MIN_SHARE / len(sizes)
    floored = [max(weight / sum(weights), least) for weight in weights]
    return [max(1, round(num_documents * part / sum(floored))) for part in floored]


def _num_bytes(files: Sequence[Input]) -> int | None:
    sizes = [file.size_bytes for file in files]
    return None if None in sizes else sum(size or 0 for size in sizes)


def _sample_source(plan: Plan, source: str, files: Sequence[Input], number: int) -> SourceSample:
    reader = _fine(plan.reader(source))
    files = sorted(files, key=lambda file: _order(plan, source, file.relative))
    num_rows = min(number, MIN_ROWS)
    while True:
        taken = _take(plan, source, reader, files, number, num_rows)
        if taken.num_rows >= number or taken.is_whole or num_rows >= number:
            break
        more = max(MORE_ROWS, number / max(taken.num_rows, 1))
        num_rows = min(number, math.ceil(num_rows * more))
    schema = document_schema(segmented=plan.source(source).is_segmented)
    batches = [batch.cast(schema) for batch in taken.batches]
    empty = pa.RecordBatch.from_pylist([], schema=schema)
    return SourceSample(
        source=source,
        documents=pa.concat_batches([empty, *batches]),
        num_files=len(taken.files),
        num_all_files=len(files),
        num_quarantined=taken.num_quarantined,
        is_whole=taken.is_whole,
    )


def _take(
    plan: Plan, source: str, reader: Reader, files: Sequence[Input], number: int, num_rows: int
) -> _Taken:
    """`number` documents, or fewer where `num_rows` of each slice are not so many."""
    taken = _Taken([], set())
    for piece in _pieces(plan, source, reader, files):
        if taken.num_rows >= number:
            taken.is_whole = False
            break
        taken.add(reader, piece, min(num_rows, number - taken.num_rows))
    return taken


def _pieces(plan: Plan, source: str, reader: Reader, files: Sequence[Input]) -> Iterator[Slice]:
    """All slices: first one of each file, then another of each that has more."""
    later: list[Sequence[Slice]] = []
    for file in files:
        first, *rest = sorted(
            reader.split(file), key=lambda piece: _order(plan, source, file.relative, piece.start)
        )
        yield first
        later.append(rest)
    for turn in itertools.zip_longest(*later):
        yield from (piece for piece in turn if piece is not None)


def _order(plan: Plan, *parts: Any) -> str:
    """A place at random, but the same for the same seed."""
    name = "\0".join(str(part) for part in (plan.manifest.seed, *parts))
    return str(xxhash.xxh3_128_hexdigest(name.encode("utf-8", "surrogateescape")))


def _fine(reader: Reader) -> Reader:
    """The reader with slices of `SLICE_BYTES`, where it splits at all."""
    if is_dataclass(reader) and not isinstance(reader, type) and hasattr(reader, "split_bytes"):
        fine: Reader = replace(reader, **{"split_bytes": SLICE_BYTES})
        return fine
    return reader
