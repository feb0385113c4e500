"""CSV and TSV with a header row, plain or compressed.

Blocks of whole rows go through pyarrow.csv as bytes and are checked to be UTF-8 afterwards. Rows
are cut before that, so that one of another length leaves with its bytes, and the broken tail of a
file is not taken for a row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv

from pipeline.sources.compression import DamagedStream, chunks
from pipeline.sources.documents import Bad, Builder
from pipeline.sources.file_reader import FileReader
from pipeline.sources.files import compression, open_bytes
from pipeline.sources.lines import BLOCK_BYTES, BOM, ESCAPE_FACTOR, OTHER_FIELDS_BYTES
from pipeline.sources.protocol import Slice
from pipeline.sources.rows import RowBlock, RowCutter
from pipeline.sources.schema import Rows

DELIMITERS = {"csv": ",", "tsv": "\t"}
HEADER_ROW = -1  # so that the first row below it is row 0


@dataclass(frozen=True, kw_only=True)
class DelimitedReader(FileReader):
    """Not splittable. `source_row`: number of the row below the header; empty lines are no rows.

    Values are quoted with `"`, doubled inside; a quoted value may hold newlines. An empty cell is
    an empty string, never null. The first of two columns of one name counts.
    """

    block_bytes: int = BLOCK_BYTES

    def read(self, piece: Slice) -> Iterator[Rows]:
        builder = Builder(
            source=self.source, item=piece.input, max_document_bytes=self.max_document_bytes
        )
        row_bytes = ESCAPE_FACTOR * self.max_document_bytes + OTHER_FIELDS_BYTES
        delimiter = DELIMITERS[self.source.format]
        cutter = RowCutter(ord(delimiter), row_bytes, HEADER_ROW)
        names: list[str] | None = None
        with open_bytes(piece.input) as handle:
            for block in _row_blocks(handle, cutter, self.block_bytes):
                if isinstance(block, Bad):
                    yield builder.only_bad([block._replace(row=max(0, block.row))])
                    continue
                if names is None:
                    names, block = _header(block, delimiter)  # noqa: PLW2901
                    if names is None:
                        detail = "the header row is not UTF-8 or cannot be read"
                        raw = block.data[: block.end[0]]
                        yield builder.only_bad([Bad(0, "unreadable", detail, raw)])
                        return
                yield from _read_block(block, names, delimiter, builder)


def _row_blocks(handle: BinaryIO, cutter: RowCutter, block_bytes: int) -> Iterator[RowBlock | Bad]:
    held: list[bytes] = []
    num_bytes, at_start = 0, True
    kind = compression(handle)
    damage: DamagedStream | None = None
    stream = chunks(handle, kind)
    while True:
        try:
            chunk = next(stream, b"")
        except DamagedStream as exc:
            chunk, damage = b"", exc
        held.append(chunk)
        num_bytes += len(chunk)
        if chunk and num_bytes < block_bytes:
            continue
        data = b"".join(held)
        held, num_bytes = [], 0
        yield from cutter.add(data.removeprefix(BOM) if at_start else data)
        if not chunk:
            break
        at_start = False
    if damage is not None:
        yield cutter.break_off(damage)
    elif at_start and not data:
        yield Bad(0, "empty_file", "the file has no bytes")
    else:
        yield from cutter.finish()


def _header(block: RowBlock, delimiter: str) -> tuple[list[str] | None, RowBlock]:
    """Names of the columns, and the block without the first row; None where it is not one."""
    table = _parse(block.data[block.start[0] : block.end[0]], int(block.num_fields[0]), delimiter)
    if table is None or table.num_rows != 1:
        return None, block
    try:
        names = [column[0].as_py().decode("utf-8") for column in table.columns]
    except UnicodeDecodeError:
        return None, block
    rest = RowBlock(
        block.first_row + 1, block.data, block.start[1:], block.end[1:], block.num_fields[1:]
    )
    return names, rest


def _read_block(
    block: RowBlock, names: list[str], delimiter: str, builder: Builder
) -> Iterator[Rows]:
    fits = block.num_fields == len(names)
    bad = [
        Bad(
            block.first_row + int(i),
            "bad_row",
            f"the row has {block.num_fields[i]} fields, the header {len(names)}",
            block.data[block.start[i] : block.end[i]],
        )
        for i in np.flatnonzero(~fits)
    ]
    if bad:
        yield builder.only_bad(bad)
    good = np.flatnonzero(fits)
    if len(good):
        yield from _read_rows(block, good, names, delimiter, builder)


def _read_rows(
    block: RowBlock, good: np.ndarray, names: list[str], delimiter: str, builder: Builder
) -> Iterator[Rows]:
    """The rows `good` of the block; halved where pyarrow counts otherwise, to find which it is."""
    table = _parse(_bytes_of(block, good), len(names), delimiter)
    if table is not None and table.num_rows == len(good):
        columns = {
            name: table.column(names.index(name)).combine_chunks()
            for name in builder.source.columns
            if name in names
        }
        yield from builder.build(block.first_row + good, columns)
    elif len(good) == 1:
        raw = _bytes_of(block, good)
        detail = "pyarrow does not read this as one row"
        yield builder.only_bad([Bad(block.first_row + int(good[0]), "bad_row", detail, raw)])
    else:
        for half in np.array_split(good, 2):
            yield from _read_rows(block, half, names, delimiter, builder)


def _bytes_of(block: RowBlock, rows: np.ndarray) -> bytes:
    """The rows' bytes; rows that follow one another are cut out in one piece."""
    breaks = np.flatnonzero(np.diff(rows) > 1) + 1
    runs = pairwise([0, *breaks.tolist(), len(rows)])
    return b"".join(
        block.data[block.start[rows[first]] : block.end[rows[last - 1]]] for first, last in runs
    )


def _parse(data: bytes, num_fields: int, delimiter: str) -> pa.Table | None:
    names = [str(index) for index in range(num_fields)]
    try:
        return pa.csv.read_csv(
            pa.BufferReader(data),
            read_options=pa.csv.ReadOptions(
                column_names=names, use_threads=False, block_size=len(data) + 1
            ),
            parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.binary()),
                null_values=[],
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        return None
