"""Arrow IPC, file and stream format (told by content); the file format is split by record batch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from pipeline.sources.arrow_sizes import declared_bytes
from pipeline.sources.compression import DamagedStream, check_expansion
from pipeline.sources.documents import Bad, Builder
from pipeline.sources.expansion import Expansion
from pipeline.sources.file_reader import FileReader
from pipeline.sources.files import ARROW_ERRORS, open_arrow
from pipeline.sources.parquet import group_slices
from pipeline.sources.protocol import SPLIT_BYTES, Input, Slice
from pipeline.sources.schema import Rows

MAGIC = b"ARROW1"


@dataclass(frozen=True, kw_only=True)
class ArrowReader(FileReader):
    """Unit of slices: record batches of a file; a stream is one slice. `source_row`: row number.

    The IPC file of another writer, such as `datasets`, is a stream as often as a file.
    """

    split_bytes: int = SPLIT_BYTES

    def is_splittable(self, item: Input) -> bool:
        with open_arrow(item) as handle:
            return _is_file_format(handle)

    def split(self, item: Input) -> list[Slice]:
        with open_arrow(item) as handle:
            if not _is_file_format(handle):
                return [Slice(input=item)]
            try:
                num_batches = pa.ipc.open_file(handle).num_record_batches
            except ARROW_ERRORS:
                return [Slice(input=item)]  # `read` says what is wrong with it
        # The footer gives no sizes: batches of one file are taken as equally large.
        size = (item.size_bytes or 0) // max(1, num_batches)
        return group_slices(item, [size] * num_batches, self.split_bytes)

    def read(self, piece: Slice) -> Iterator[Rows]:
        builder = Builder(
            source=self.source, item=piece.input, max_document_bytes=self.max_document_bytes
        )
        if piece.input.size_bytes == 0:
            yield builder.only_bad([Bad(0, "empty_file", "the file has no bytes")])
            return
        with open_arrow(piece.input) as handle:
            is_file = _is_file_format(handle)
            try:
                for num_bytes in declared_bytes(handle):
                    check_expansion(num_bytes, handle.size(), "a message of the file")
            except DamagedStream as damage:
                yield builder.only_bad([Bad(0, damage.reason, damage.detail)])
                return
            handle.seek(0)
            file_bytes = handle.size()
            try:
                reader = self._open(handle, is_file)
            except ARROW_ERRORS as exc:
                detail = f"the file is not Arrow IPC, or cut short: {exc}"
                yield builder.only_bad([Bad(0, "unreadable", detail)])
                return
            yield from (
                _read_file(reader, piece, builder, file_bytes)
                if is_file
                else _read_stream(reader, builder, Expansion(file_bytes))
            )

    def _open(self, handle: pa.NativeFile, is_file: bool) -> pa.RecordBatchReader:
        opener = pa.ipc.open_file if is_file else pa.ipc.open_stream
        schema = opener(handle).schema
        wanted = [index for index, name in enumerate(schema.names) if name in self.source.columns]
        handle.seek(0)
        # An empty list would mean all fields.
        options = pa.ipc.IpcReadOptions(included_fields=wanted or [0], use_threads=False)
        return opener(handle, options=options)


def _is_file_format(handle: pa.NativeFile) -> bool:
    magic = handle.read(len(MAGIC))
    handle.seek(0)
    return bool(magic == MAGIC)


def _read_file(
    reader: pa.RecordBatchFileReader, piece: Slice, builder: Builder, file_bytes: int
) -> Iterator[Rows]:
    end = reader.num_record_batches if piece.end is None else piece.end
    sizes = [1] * reader.num_record_batches  # the footer gives none
    expansion = Expansion.of_units(file_bytes, sizes, piece.start, end)
    row = 0
    for index in range(end):
        try:
            # Batches before the slice are read for their length, which nothing else tells.
            batch = reader.get_batch(index)
        except ARROW_ERRORS as exc:
            if index >= piece.start:
                detail = f"record batch {index} cannot be read: {exc}"
                yield builder.only_bad([Bad(row, "corrupt", detail)])
            continue
        if index >= piece.start:
            yield from _batch(batch, row, builder, expansion)
        if expansion.is_spent:
            return
        row += batch.num_rows


def _read_stream(
    reader: pa.RecordBatchStreamReader, builder: Builder, expansion: Expansion
) -> Iterator[Rows]:
    row = 0
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except ARROW_ERRORS as exc:
            detail = f"the stream breaks off after row {row}: {exc}"
            yield builder.only_bad([Bad(row, "truncated", detail)])
            return
        yield from _batch(batch, row, builder, expansion)
        if expansion.is_spent:
            return
        row += batch.num_rows


def _batch(
    batch: pa.RecordBatch, row: int, builder: Builder, expansion: Expansion
) -> Iterator[Rows]:
    """The documents of a batch that may hold any bytes: its offsets and indices are checked."""
    try:
        batch.validate()
        columns = {name: _checked(batch.column(name)) for name in batch.schema.names}
    except (pa.ArrowException, IndexError) as exc:
        detail = f"the record batch is damaged: {exc}"
        yield builder.only_bad([Bad(row, "corrupt", detail)])
        return
    try:
        for start, end, part in expansion.pieces(columns, batch.num_rows):
            yield from builder.build(np.arange(row, row + end - start), part)
            row += end - start
    except DamagedStream as damage:
        yield builder.only_bad([Bad(row, damage.reason, damage.detail)])


_AS_BYTES = {
    pa.string(): pa.binary(),
    pa.large_string(): pa.large_binary(),
    pa.string_view(): pa.binary_view(),
}


def _checked(values: pa.Array) -> pa.Array:
    """The values with strings as bytes: whether these are UTF-8 is told row by row later.

    Raises ArrowException where an offset or an index leads out of the data.
    """
    if pa.types.is_dictionary(values.type):
        values.indices.validate(full=True)
        return pa.DictionaryArray.from_arrays(values.indices, _checked(values.dictionary))
    values = values.view(_AS_BYTES.get(values.type, values.type))
    values.validate(full=True)
    return values
