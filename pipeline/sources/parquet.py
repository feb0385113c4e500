"""Parquet: only the wanted columns, streamed in batches; row groups are the unit of slices."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.sources.documents import BATCH_BYTES, BATCH_ROWS, Bad, Builder
from pipeline.sources.file_reader import FileReader
from pipeline.sources.files import open_arrow
from pipeline.sources.protocol import SPLIT_BYTES, Input, Slice
from pipeline.sources.schema import Rows

# Column chunks are read through a buffer of this size, not whole: a row group may be 1 GB.
BUFFER_BYTES = 1 << 20


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
                metadata = pq.ParquetFile(handle).metadata
            except (pa.ArrowException, OSError):
                return [Slice(input=item)]  # `read` says what is wrong with it
        sizes = [
            _wanted_bytes(metadata.row_group(group), self.source.columns)
            for group in range(metadata.num_row_groups)
        ]
        return group_slices(item, sizes, self.split_bytes)

    def read(self, piece: Slice) -> Iterator[Rows]:
        item = piece.input
        builder = Builder(source=self.source, item=item, max_document_bytes=self.max_document_bytes)
        if item.size_bytes == 0:
            yield builder.only_bad([Bad(0, "empty_file", "the file has no bytes")])
            return
        with open_arrow(item) as handle:
            try:
                file = pq.ParquetFile(handle, buffer_size=BUFFER_BYTES, pre_buffer=False)
            except (pa.ArrowException, OSError) as exc:
                yield builder.only_bad([Bad(0, "unreadable", f"the file is not Parquet: {exc}")])
                return
            yield from self._read_groups(file, piece, builder)

    def _read_groups(self, file: pq.ParquetFile, piece: Slice, builder: Builder) -> Iterator[Rows]:
        metadata = file.metadata
        end = metadata.num_row_groups if piece.end is None else piece.end
        sizes = [metadata.row_group(group).num_rows for group in range(end)]
        first_row = sum(sizes[: piece.start])
        for group in range(piece.start, end):
            yield from self._read_group(file, group, first_row, builder)
            first_row += sizes[group]

    def _read_group(
        self, file: pq.ParquetFile, group: int, first_row: int, builder: Builder
    ) -> Iterator[Rows]:
        num_rows = file.metadata.row_group(group).num_rows
        names = [name for name in self.source.columns if name in file.schema_arrow.names]
        if self.source.text_field not in names:
            yield from builder.build(np.arange(first_row, first_row + num_rows), {})
            return
        row_bytes = _wanted_bytes(file.metadata.row_group(group), names) / max(1, num_rows)
        batch_rows = int(min(BATCH_ROWS, max(1, BATCH_BYTES / max(1, row_bytes))))
        row = first_row
        try:
            for batch in file.iter_batches(batch_rows, [group], names, use_threads=False):
                columns = {name: batch.column(name) for name in names}
                yield from builder.build(np.arange(row, row + batch.num_rows), columns)
                row += batch.num_rows
        except (pa.ArrowException, OSError) as exc:
            detail = f"row group {group} cannot be read from row {row} of the file on: {exc}"
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


def _wanted_bytes(group: pq.RowGroupMetaData, names: tuple[str, ...] | list[str]) -> int:
    """Uncompressed size of the wanted columns of a row group."""
    columns = (group.column(index) for index in range(group.num_columns))
    return sum(
        column.total_uncompressed_size
        for column in columns
        if column.path_in_schema.partition(".")[0] in names
    )
