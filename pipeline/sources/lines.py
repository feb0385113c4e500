"""Line-based files in blocks that end at a newline; a broken tail or an endless line as Bad."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

import numpy as np

from pipeline.sources.compression import CHUNK_BYTES, DamagedStream, chunks
from pipeline.sources.documents import Bad
from pipeline.sources.files import compression, open_bytes
from pipeline.sources.protocol import Slice
from pipeline.sources.schema import RAW_BYTES
from pipeline.sources.seekable import Frames, frames_of

# pyarrow.json parses 4 MB blocks as fast as larger ones; a batch is about as large.
BLOCK_BYTES = 4 << 20

# A \uXXXX escape takes six bytes for the two or three of most scripts, so a row of three times
# the document, plus 1 MB for the other fields, holds every document that is not too large.
ESCAPE_FACTOR = 3
OTHER_FIELDS_BYTES = 1 << 20
BOM = b"\xef\xbb\xbf"


class Block(NamedTuple):
    """Whole lines; only the last line of a file may lack its newline."""

    offset: int  # of the first byte, in the decompressed file
    data: bytes


class Bounds(NamedTuple):
    """int64 `[start, end)` of each line that is not empty, without its newline, within a block."""

    start: np.ndarray
    end: np.ndarray


def line_bounds(data: bytes) -> Bounds:
    """Lines end at \\n; a \\r before it belongs to the newline. Empty lines are left out."""
    newlines = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n"))
    if data and not data.endswith(b"\n"):
        newlines = np.append(newlines, len(data))
    start = np.concatenate([[0], newlines[:-1] + 1]) if len(newlines) else newlines
    last = np.frombuffer(data, dtype=np.uint8)[newlines - 1] if len(newlines) else newlines
    end = newlines - ((last == ord("\r")) & (newlines > start))
    filled = end > start
    return Bounds(start[filled], end[filled])


def read_lines(piece: Slice, line_bytes: int, block_bytes: int) -> Iterator[Block | Bad]:
    """Blocks of the lines that start in the slice (bytes), of about `block_bytes`.

    A line longer than `line_bytes` is `too_large` (where it is held, the caller must say so too),
    never in memory whole; a broken stream gives the good lines, then one Bad. An input without a
    byte is `empty_file`.
    """
    with open_bytes(piece.input) as handle:
        kind = compression(handle)
        if kind == "zst" and (piece.start or piece.end is not None):
            yield from _read_frames(handle, piece, line_bytes, block_bytes)
            return
        offset = _seek_line(handle, piece.start)
        if piece.end is not None and offset >= piece.end:
            return
        cutter = _Cutter(offset, piece.end, line_bytes, block_bytes)
        try:
            for chunk in chunks(handle, kind):
                yield from cutter.add(chunk)
                if cutter.done:
                    return
            yield from cutter.finish()
        except DamagedStream as damage:
            yield from cutter.break_off(damage)


def _read_frames(
    handle: BinaryIO, piece: Slice, line_bytes: int, block_bytes: int
) -> Iterator[Block | Bad]:
    """The lines that start in a slice of a seekable zstd file, damage in it as one Bad.

    The slice begins one byte behind a frame's first, so that no frame before it is needed to know
    whether a line starts there: the line that starts with the frame is the previous slice's.
    """
    frames = frames_of(handle, piece.start, piece.end)
    position = 0 if frames is None else frames.first.offset
    handle.seek(0)
    stream = chunks(handle, "zst") if frames is None else frames.chunks()
    cutter: _Cutter | None = None
    try:
        for chunk in stream:
            skipped = 0
            if cutter is None:
                newline = chunk.find(b"\n", max(0, piece.start - 1 - position))
                if piece.start and newline < 0:
                    position += len(chunk)
                    continue
                skipped = newline + 1 if piece.start else 0
                position += skipped
                if piece.end is not None and position >= piece.end:
                    return
                cutter = _Cutter(position, piece.end, line_bytes, block_bytes)
            yield from cutter.add(chunk[skipped:])
            if cutter.done:
                return
        if cutter is not None:
            yield from cutter.finish()
    except DamagedStream as damage:
        cutter = cutter or _Cutter(position, piece.end, line_bytes, block_bytes)
        yield from cutter.break_off(damage)
        if frames is not None and not frames.has_passed and piece.end is not None:
            yield from _after_damage(frames, piece.end - 1, damage)


def _after_damage(frames: Frames, offset: int, damage: DamagedStream) -> Iterator[Bad]:
    """What a broken slice would have read of the next one, which begins with the line after it.

    It may be the end of a line of the damaged part, so it is none by itself.
    """
    raw = b""
    try:
        for chunk in frames.following():
            raw += chunk.partition(b"\n")[0]
            if b"\n" in chunk or len(raw) > RAW_BYTES:
                break
    except DamagedStream:
        pass  # the next slice says so
    if raw:
        yield Bad(offset, damage.reason, f"behind the damage: {damage.detail}", raw[:RAW_BYTES])


def _seek_line(handle: BinaryIO, start: int) -> int:
    """Move to the first line that starts at or after byte `start`; return where that is."""
    if start == 0:
        return 0
    position = start - 1  # a newline there means that a line starts at `start`
    handle.seek(position)
    while chunk := handle.read(CHUNK_BYTES):
        newline = chunk.find(b"\n")
        if newline >= 0:
            position += newline + 1
            handle.seek(position)
            return position
        position += len(chunk)
    return position


@dataclass
class _Cutter:
    offset: int  # of the first held byte
    end: int | None
    line_bytes: int
    block_bytes: int
    done: bool = False
    _held: list[bytes] = field(default_factory=list)
    _held_bytes: int = 0
    _join_at: int = 0  # doubled while no newline comes, so that a long line is joined log times
    _long: bytes | None = None  # beginning of the line that is being skipped
    _long_row: int = 0

    def add(self, chunk: bytes) -> Iterator[Block | Bad]:
        if self._long is not None:
            skipped = chunk.find(b"\n") + 1
            if not skipped:
                self.offset += len(chunk)
                return
            yield self._too_large()
            self.offset += skipped
            chunk = chunk[skipped:]
            if self.end is not None and self.offset >= self.end:
                self.done = True
                return
        self._held.append(chunk)
        self._held_bytes += len(chunk)
        reaches_end = self.end is not None and self.offset + self._held_bytes >= self.end
        if self._held_bytes >= max(self.block_bytes, self._join_at) or (
            reaches_end and b"\n" in chunk
        ):
            yield from self._cut(self._join())

    def _cut(self, data: bytes) -> Iterator[Block | Bad]:
        if self.end is not None and self.offset + len(data) >= self.end:
            last = data.find(b"\n", max(0, self.end - 1 - self.offset)) + 1
            if last:
                self.done = True
                yield Block(self.offset, data[:last])
                return
        last = data.rfind(b"\n") + 1
        if last:
            yield Block(self.offset, data[:last])
        elif len(data) > self.line_bytes + 1:  # a \r may belong to the newline
            self._long, self._long_row = data[:RAW_BYTES], self.offset
            self.offset += len(data)
            return
        self.offset += last
        rest = data[last:] if last else data
        self._held, self._held_bytes = [rest], len(rest)
        self._join_at = 0 if last else min(2 * len(rest), self.line_bytes + 2)

    def finish(self) -> Iterator[Block | Bad]:
        """The end of the file: its last line needs no newline."""
        data = self._join()
        if self._long is not None:
            yield self._too_large()
        elif data:
            yield Block(self.offset, data)
        elif self.offset == 0:
            yield Bad(0, "empty_file", "the file has no bytes")

    def break_off(self, damage: DamagedStream) -> Iterator[Block | Bad]:
        data = self._join()
        if self._long is not None:
            yield Bad(self._long_row, damage.reason, damage.detail, self._long)
            return
        last = data.rfind(b"\n") + 1
        if last:
            yield Block(self.offset, data[:last])
        yield Bad(self.offset + last, damage.reason, damage.detail, data[last:])

    def _join(self) -> bytes:
        data = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._held, self._held_bytes = [], 0
        return data

    def _too_large(self) -> Bad:
        bad = too_large_line(self._long_row, self._long or b"", self.line_bytes)
        self._long = None
        self._join_at = 0
        return bad


def too_large_line(row: int, raw: bytes, line_bytes: int) -> Bad:
    """What every line over `line_bytes` becomes, held or not."""
    return Bad(row, "too_large", f"the line has more than {line_bytes} bytes", raw)
