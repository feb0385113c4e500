"""JSON Lines: one JSON object a line, plain or compressed.

A plain file is split by bytes, a zstd file with a seek table by its frames (`seekable`).

Blocks of whole lines go through pyarrow.json with an explicit schema, so that only the wanted
fields become Arrow (370 MB/s on one core; Python's json 150 MB/s). A block that pyarrow refuses, or
that it might read otherwise than line by line, is read line by line with Python's json: that path
defines what a line means, and the fast path is taken only where both agree.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.json

from pipeline.sources.config import SourceConfig
from pipeline.sources.documents import Bad, Builder
from pipeline.sources.file_reader import FileReader
from pipeline.sources.files import compression, open_bytes
from pipeline.sources.lines import (
    BLOCK_BYTES,
    BOM,
    ESCAPE_FACTOR,
    OTHER_FIELDS_BYTES,
    Block,
    Bounds,
    line_bounds,
    read_lines,
    too_large_line,
)
from pipeline.sources.protocol import SPLIT_BYTES, Input, Slice
from pipeline.sources.schema import Rows
from pipeline.sources.seekable import read_borders
from pipeline.sources.segmented import message_type
from pipeline.sources.utf8 import is_utf8

Types = dict[str, pa.DataType]

BLANK = b" \t\r"
OBJECT_STARTS, OBJECT_ENDS = ord("{"), ord("}")
# Integers of the id, url and meta fields are read as int64 and printed; Python prints them alike.
ARROW_TYPES = {"string": pa.string(), "number": pa.int64(), "boolean": pa.bool_()}
CHANGED = re.compile(r"Column\(/(?P<field>.*)\) changed from \w+ to (?P<kind>\w+) in row")
COMPRESSION = 4  # text compresses to a quarter or less: such a file is no work for two
MAX_INT_DIGITS = 4000  # Python refuses to read longer integers


@dataclass(frozen=True, kw_only=True)
class JsonlReader(FileReader):
    """Unit of slices: decompressed bytes. `source_row`: the line's offset, counted alike."""

    split_bytes: int = SPLIT_BYTES
    block_bytes: int = BLOCK_BYTES

    def is_splittable(self, item: Input) -> bool:
        return is_splittable(item, self.split_bytes)

    def split(self, item: Input) -> list[Slice]:
        return split_bytes(item, self.split_bytes)

    def read(self, piece: Slice) -> Iterator[Rows]:
        builder = Builder(
            source=self.source, item=piece.input, max_document_bytes=self.max_document_bytes
        )
        line_bytes = ESCAPE_FACTOR * self.max_document_bytes + OTHER_FIELDS_BYTES
        types: Types = dict.fromkeys(self.source.columns, pa.string())
        fields = self.source.text_fields
        if self.source.messages_field is not None:
            types[self.source.messages_field] = message_type()
        for block in read_lines(piece, line_bytes, self.block_bytes):
            if isinstance(block, Bad):
                yield builder.only_bad([block])
                continue
            bounds = line_bounds(block.data)
            table = _read_block(block.data, bounds, types, line_bytes, len(fields))
            if table is None or any(table[name].null_count for name in fields):
                yield from _read_each(block, bounds, builder, line_bytes)
                continue
            columns = {name: _whole(table[name]) for name in types}
            yield from builder.build(block.offset + bounds.start, columns)


def is_splittable(item: Input, size_bytes: int) -> bool:
    """Whether lines can be reached by offset: in plain files, and in zstd with a seek table."""
    with open_bytes(item) as handle:
        kind = compression(handle)
        return kind is None or (kind == "zst" and len(_frame_starts(handle, size_bytes)) > 1)


def split_bytes(item: Input, size_bytes: int) -> list[Slice]:
    """Ranges of decompressed bytes; the whole file where there is no way to its middle.

    In zstd at frames, one byte behind where they begin (`lines._read_frames` says why).
    """
    if item.size_bytes is None or item.size_bytes * COMPRESSION <= size_bytes:
        return [Slice(input=item)]  # of many small files none is opened
    with open_bytes(item) as handle:
        kind = compression(handle)
        if kind is None:
            starts = list(range(0, item.size_bytes, size_bytes)) or [0]
        else:
            starts = _frame_starts(handle, size_bytes) if kind == "zst" else [0]
    ends = [*starts[1:], None]
    return [
        Slice(input=item, start=start, end=end) for start, end in zip(starts, ends, strict=True)
    ]


def _frame_starts(handle: BinaryIO, size_bytes: int) -> list[int]:
    """Where slices of a zstd file begin."""
    return [0] + [border.offset + 1 for border in read_borders(handle, size_bytes)[1:-1]]


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _read_block(
    data: bytes, bounds: Bounds, types: Types, line_bytes: int, num_fixed: int = 1
) -> pa.Table | None:
    """The block as a table of one row per line, or None where that is not certain.

    `types`, but for the first `num_fixed`, is updated to what the fields turned out to be, as a
    guess for the next block.
    """
    if not _one_object_a_line(data, bounds, line_bytes):
        return None
    for _ in range(len(types)):
        try:
            table = _parse(data, types)
        except pa.ArrowInvalid as exc:
            changed = CHANGED.search(str(exc))
            fixed = list(types)[:num_fixed]
            if changed is None or not _retype(types, changed["field"], changed["kind"], fixed):
                return None
            continue
        return table if table.num_rows == len(bounds.start) else None
    return None


def _one_object_a_line(data: bytes, bounds: Bounds, line_bytes: int) -> bool:
    """Whether every line begins with { and ends with }, and holds UTF-8 without NUL.

    A line that ends with } inside of an object cannot be followed by {. So if pyarrow accepts the
    block and counts as many rows as lines, each line is one object. The test also keeps a line
    that is `null` from pyarrow 25, which it crashes (segmentation fault).
    """
    if not len(bounds.start):
        return False
    view = np.frombuffer(data, dtype=np.uint8)
    return (
        bool((view[bounds.start] == OBJECT_STARTS).all())
        and bool((view[bounds.end - 1] == OBJECT_ENDS).all())
        and bool((bounds.end - bounds.start).max() <= line_bytes)
        and b"\0" not in data
        and is_utf8(data)
    )


def _parse(data: bytes, types: Types) -> pa.Table:
    return pa.json.read_json(
        pa.BufferReader(data),
        read_options=pa.json.ReadOptions(use_threads=False, block_size=len(data) + 1),
        parse_options=pa.json.ParseOptions(
            explicit_schema=pa.schema(types.items()), unexpected_field_behavior="ignore"
        ),
    )


def _retype(types: Types, name: str, kind: str, fixed: Sequence[str]) -> bool:
    """Whether another type of a field other than those of the text is worth another try."""
    if name not in types or name in fixed or kind not in ARROW_TYPES:
        return False
    types[name] = ARROW_TYPES[kind]
    return True


def _read_each(block: Block, bounds: Bounds, builder: Builder, line_bytes: int) -> Iterator[Rows]:
    """The lines of a block that holds a line out of the ordinary, one by one."""
    source = builder.source
    names = source.columns
    good: list[tuple[int, list[bytes | None]]] = []
    bad: list[Bad] = []
    for start, end in zip(bounds.start.tolist(), bounds.end.tolist(), strict=True):
        row, line = block.offset + start, block.data[start:end]
        if end - start > line_bytes:
            bad.append(too_large_line(row, line, line_bytes))
            continue
        values = _read_line(row, line, source)
        if isinstance(values, Bad):
            bad.append(values)
        elif values is not None:
            good.append((row, values))
    if bad:
        yield builder.only_bad(bad)
    if good:
        columns = [
            pa.array(column, pa.binary()) for column in zip(*(v for _, v in good), strict=True)
        ]
        rows = np.array([row for row, _ in good], dtype=np.int64)
        yield from builder.build(rows, dict(zip(names, columns, strict=True)))


def _read_line(row: int, line: bytes, source: SourceConfig) -> list[bytes | None] | Bad | None:
    """UTF-8 of the wanted fields of one line; None for a blank line."""
    stripped = line.removeprefix(BOM).strip(BLANK)
    if not stripped:
        return None
    try:
        decoded = stripped.decode("utf-8")
    except UnicodeDecodeError as exc:
        return Bad(row, "not_utf8", f"byte {exc.start} of the line is not UTF-8", line)
    try:
        value = json.loads(decoded, parse_int=_integer)
    except (ValueError, RecursionError) as exc:
        value = _by_arrow(stripped, source)
        if value is None:
            return Bad(row, "not_json", f"the line is not JSON: {exc}", line)
    if not isinstance(value, dict):
        return Bad(row, "not_json", f"the line is a {type(value).__name__}, want an object", line)
    return _fields(row, line, value, source)


def _by_arrow(line: bytes, source: SourceConfig) -> dict[str, Any] | None:
    """What pyarrow takes and Python does not (deep nesting, Inf), so that both paths agree."""
    bounds = Bounds(np.array([0]), np.array([len(line)]))
    types = dict.fromkeys(source.columns, pa.string())
    table = _read_block(line, bounds, types, len(line), len(source.text_fields))
    if table is None:
        return None
    # Arrow has no "missing"; of such a line, null is what can be said.
    return dict(table.to_pylist()[0])


def _fields(
    row: int, line: bytes, value: dict[str, Any], source: SourceConfig
) -> list[bytes | None] | Bad:
    for name in source.text_fields:
        if name not in value:
            return Bad(row, "missing_field", f"no field {name!r}", line)
        if value[name] is None:
            return Bad(row, "null_text", f"{name!r} is null, want a string", line)
        # Messages are written as JSON again, and read as in any format without lists.
        if not isinstance(value[name], str) and name != source.messages_field:
            kind = type(value[name]).__name__
            return Bad(row, "wrong_type", f"{name!r} is a {kind}, want a string", line)
    try:
        return [_as_bytes(value.get(name)) for name in source.columns]
    except UnicodeEncodeError:
        return Bad(row, "not_utf8", "a lone surrogate, which no UTF-8 can hold", line)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_INT_DIGITS else float(digits)


def _as_bytes(value: Any) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode("utf-8")
    return json.dumps(value, ensure_ascii=False).encode("utf-8")
