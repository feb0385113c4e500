"""Parquet: only the wanted columns, streamed in batches; row groups are the unit of slices."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.sources.compression import DamagedStream, check_expansion
from pipeline.sources.documents import BATCH_BYTES, BATCH_ROWS, Bad, Builder
from pipeline.sources.expansion import PIECE_BYTES, Expansion
from pipeline.sources.file_reader import FileReader
from pipeline.sources.files import ARROW_ERRORS, open_arrow
from pipeline.sources.parquet_footer import Column, Group, row_groups
from pipeline.sources.parquet_pages import Pages, pages_of
from pipeline.sources.protocol import SPLIT_BYTES, Input, Slice
from pipeline.sources.schema import Rows

# Column chunks are read through a buffer of this size, not whole: a row group may be 1 GB.
BUFFER_BYTES = 1 << 20
SMALL_BYTES = 1 << 20  # of short rows, up to MAX_BATCHES times BATCH_ROWS are decoded at once
MAX_BATCHES = 8
MOST_BYTES = 1 << 27  # that the rows of a batch can have where values repeat
DICTIONARY_ROWS = 1 << 15  # a batch brings the dictionary with it, 1 MB as writers limit it


@dataclass(frozen=True, kw_only=True)
class ParquetReader(FileReader):
    """Unit of slices: row groups. `source_row`: the row's number in the file.

    A row group that cannot be read gives the rows before the fault and one `corrupt` row; the
    other row groups are read.
    """

    split_bytes: int = SPLIT_BYTES

    def is_splittable(self, item: Input) -> bool:
        return True

    def split(self, item: Input) -> list[Slice]:
        with open_arrow(item) as handle:
            try:
                pq.ParquetFile(handle)
                groups = row_groups(handle)
            except (*ARROW_ERRORS, ValueError):
                return [Slice(input=item)]  # `read` says what is wrong with it
        sizes = [sum(one.num_bytes for one in _wanted(g, self.source.columns)) for g in groups]
        return group_slices(item, sizes, self.split_bytes)

    def read(self, piece: Slice) -> Iterator[Rows]:
        item = piece.input
        builder = Builder(source=self.source, item=item, max_document_bytes=self.max_document_bytes)
        if item.size_bytes == 0:
            yield builder.only_bad([Bad(0, "empty_file", "the file has no bytes")])
            return
        with open_arrow(item) as handle:
            try:
                metadata = pq.read_metadata(handle)
                groups = row_groups(handle)
                file = self._open(handle, metadata, groups)
                names = [name for name in self.source.columns if name in file.schema_arrow.names]
            except (*ARROW_ERRORS, ValueError, KeyError) as exc:  # the last: a name in one of both
                yield builder.only_bad([Bad(0, "unreadable", f"the file is not Parquet: {exc}")])
                return
            row = sum(group.num_rows for group in groups[: piece.start])
            end = len(groups) if piece.end is None else piece.end
            stored = [sum(one.num_stored_bytes for one in _wanted(g, names)) for g in groups]
            expansion = Expansion.of_units(handle.size(), stored, piece.start, end)
            for number in range(piece.start, end):
                batches = self._batches(handle, file, number, groups[number], names)
                yield from _read_group(batches, number, row, builder, expansion)
                if expansion.is_spent:
                    return
                row += groups[number].num_rows

    def _open(
        self, handle: pa.NativeFile, metadata: pq.FileMetaData, groups: Sequence[Group]
    ) -> pq.ParquetFile:
        """Without the headers of pages, strings are read as dictionaries, at half the speed."""
        strings = [one.path for one in groups[0].columns if one.is_string] if groups else []
        return pq.ParquetFile(
            handle,
            metadata=metadata,
            buffer_size=BUFFER_BYTES,
            pre_buffer=False,
            read_dictionary=None if _has_headers(handle) else strings,
        )

    def _batches(
        self,
        handle: pa.NativeFile,
        file: pq.ParquetFile,
        number: int,
        group: Group,
        names: Sequence[str],
    ) -> Iterator[tuple[dict[str, pa.Array], int]]:
        """Columns and numbers of rows; no columns where one that is needed is missing."""
        if not set(self.source.text_fields).issubset(names):
            for start in range(0, group.num_rows, BATCH_ROWS):
                yield {}, min(BATCH_ROWS, group.num_rows - start)
            return
        batch_rows = _batch_rows(handle, group, _wanted(group, names))
        for batch in file.iter_batches(batch_rows, [number], names, use_threads=False):
            yield {name: batch.column(name) for name in names}, batch.num_rows


def _has_headers(handle: pa.NativeFile) -> bool:
    """Whether headers of pages are looked at: of a remote file each would be a request."""
    return isinstance(handle, pa.OSFile)


def _batch_rows(handle: pa.NativeFile, group: Group, columns: Sequence[Column]) -> int:
    """Rows to decode at once. Raises DamagedStream where a page expands too far."""
    num_bytes = sum(one.num_bytes for one in columns)
    num_stored_bytes = sum(one.num_stored_bytes for one in columns)
    # A page is decompressed whole.
    check_expansion(num_bytes, num_stored_bytes, "its pages")
    row_bytes = max(1.0, num_bytes / max(1, group.num_rows))
    if not _has_headers(handle):
        return int(min(DICTIONARY_ROWS, max(1, PIECE_BYTES / row_bytes)))
    strings = [one for one in columns if one.is_string]
    pages = [pages_of(handle, one) for one in strings]
    check_expansion(sum(one.num_bytes for one in pages), num_stored_bytes, "its pages")
    num_rows = int(min(BATCH_ROWS, max(1, BATCH_BYTES / row_bytes)))
    num_rows *= int(max(1, min(MAX_BATCHES, SMALL_BYTES / (num_rows * row_bytes))))
    per_row = [one.num_values / max(1, group.num_rows) for one in strings]
    while num_rows > 1 and _most_bytes(pages, per_row, num_rows) > MOST_BYTES:
        num_rows //= 2
    return num_rows


def _most_bytes(pages: Sequence[Pages], per_row: Sequence[float], num_rows: int) -> float:
    pairs = zip(pages, per_row, strict=True)
    return sum(one.most_bytes(num_rows * num_values) for one, num_values in pairs)


def _read_group(
    batches: Iterator[tuple[dict[str, pa.Array], int]],
    number: int,
    row: int,
    builder: Builder,
    expansion: Expansion,
) -> Iterator[Rows]:
    """The rows of a row group, whose first one is `row`."""
    try:
        for columns, num_rows in batches:
            for start, end, part in expansion.pieces(columns, num_rows):
                yield from builder.build(np.arange(row, row + end - start), part)
                row += end - start
    except DamagedStream as damage:
        yield builder.only_bad([Bad(row, damage.reason, f"row group {number}: {damage.detail}")])
    except ARROW_ERRORS as exc:
        detail = f"row group {number} cannot be read from row {row} of the file on: {exc}"
        yield builder.only_bad([Bad(row, "corrupt", detail)])


def group_slices(item: Input, sizes: list[int], split_bytes: int) -> list[Slice]:
    """Runs of consecutive units, each of about `split_bytes`; the last one runs to the end."""
    starts, held = [0], 0
    for unit, size in enumerate(sizes):
        if held and held + size > split_bytes:
            starts.append(unit)
            held = 0
        held += size
    ends = [*starts[1:], None]
    return [
        Slice(input=item, start=start, end=end) for start, end in zip(starts, ends, strict=True)
    ]


def _wanted(group: Group, names: Sequence[str]) -> list[Column]:
    return [column for column in group.columns if column.name in names]
