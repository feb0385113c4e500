"""Plain text, plain or compressed: a file or a line is one document."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.sources.compression import DamagedStream, chunks
from pipeline.sources.documents import Bad, Builder
from pipeline.sources.file_reader import FileReader
from pipeline.sources.files import compression, open_bytes
from pipeline.sources.jsonl import is_splittable, split_bytes
from pipeline.sources.lines import BLOCK_BYTES, BOM, Block, line_bounds, read_lines
from pipeline.sources.protocol import SPLIT_BYTES, Input, Slice
from pipeline.sources.schema import RAW_BYTES, Rows


@dataclass(frozen=True, kw_only=True)
class TextReader(FileReader):
    """`per: file`: `source_row` is 0. `per: line`: it is the line's offset in the decompressed
    file, which is the unit of slices; empty lines are no rows. A BOM at the start is left out.
    """

    split_bytes: int = SPLIT_BYTES
    block_bytes: int = BLOCK_BYTES

    def is_splittable(self, item: Input) -> bool:
        return self.source.per == "line" and is_splittable(item, self.split_bytes)

    def split(self, item: Input) -> list[Slice]:
        per_line = self.source.per == "line"
        return split_bytes(item, self.split_bytes) if per_line else [Slice(input=item)]

    def read(self, piece: Slice) -> Iterator[Rows]:
        builder = Builder(
            source=self.source, item=piece.input, max_document_bytes=self.max_document_bytes
        )
        if self.source.per == "file":
            yield from read_file(builder)
            return
        for block in read_lines(piece, self.max_document_bytes, self.block_bytes):
            if isinstance(block, Bad):
                yield builder.only_bad([block])
            else:
                yield from _lines(block, builder)


def _lines(block: Block, builder: Builder) -> Iterator[Rows]:
    bounds = line_bounds(block.data)
    start = bounds.start
    if block.offset == 0 and block.data.startswith(BOM) and len(start) and start[0] == 0:
        start = np.where(start == 0, len(BOM), start)
    # Each line is cut out of the block with what follows it up to the next line, then shortened.
    view = np.frombuffer(block.data, dtype=np.uint8)
    lengths = bounds.end - start
    ends = np.cumsum(lengths)
    gaps = np.repeat(start - (ends - lengths), lengths)
    data = view[np.arange(len(gaps)) + gaps] if len(gaps) else view[:0]
    offsets = pa.py_buffer(np.concatenate([[0], ends]).astype(np.int32))
    text = pa.BinaryArray.from_buffers(
        pa.binary(), len(lengths), [None, offsets, pa.py_buffer(np.ascontiguousarray(data))]
    )
    yield from builder.build(block.offset + bounds.start, {"text": text})


def read_file(builder: Builder) -> Iterator[Rows]:
    """The whole file as one document, held up to the limit only."""
    data = whole_file(builder.item, builder.max_document_bytes + len(BOM))
    if isinstance(data, Bad):
        yield builder.only_bad([data])
    else:
        text = pa.array([data.removeprefix(BOM)], pa.binary())
        yield from builder.build(np.zeros(1, dtype=np.int64), {"text": text})


def whole_file(item: Input, max_bytes: int) -> bytes | Bad:
    """The decompressed bytes of a file; never more than `max_bytes` and a chunk are held."""
    parts, num_bytes = [], 0
    with open_bytes(item) as handle:
        try:
            for chunk in chunks(handle, compression(handle)):
                parts.append(chunk)
                num_bytes += len(chunk)
                if num_bytes > max_bytes:
                    break
        except DamagedStream as damage:
            # Half a document is none: all of it is the broken tail.
            return Bad(0, damage.reason, damage.detail, b"".join(parts))
    data = b"".join(parts)
    if not data:
        return Bad(0, "empty_file", "the file has no bytes")
    if num_bytes > max_bytes:
        detail = f"the file has more than {max_bytes} bytes"
        return Bad(0, "too_large", detail, data[:RAW_BYTES])
    return data
