"""Seekable zstd: a file of many frames that ends with a table of their sizes.

As in zstd's contrib/seekable_format/zstd_seekable_compression_format.md, version 0.1.0: the last
frame is a skippable one (0x184D2A5E), 8 or 12 bytes for each frame before it (compressed size,
decompressed size, checksum if the descriptor's bit 7 is set; little-endian uint32), then its footer
of 9 bytes: the number of frames, the descriptor, 0x8F92EAB1.

A table is believed as far as it can be checked. Its sizes must add up to where it stands, what it
promises must be no bomb, and at each border of slices a frame must begin, of the size that the
table says if its header tells one. Otherwise the file is one stream. Most writers leave the size
out of the header, so that a slice counts what its frames give and is damaged where they give more
or less: then its rows would have the numbers of others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np
import zstandard

from pipeline.sources.compression import DamagedStream, check_expansion, chunks

TABLE_MAGIC = 0x184D2A5E
FOOTER_MAGIC = 0x8F92EAB1
FRAME_MAGIC = b"\x28\xb5\x2f\xfd"
HEADER_BYTES, FOOTER_BYTES = 8, 9
CHECKSUM_FLAG, RESERVED_FLAGS = 0x80, 0x7C
MAX_FRAME_HEADER_BYTES = 18
MAX_FRAMES = 1 << 22  # of 1 KB each 4 GB; a table for more is not worth its memory


class Border(NamedTuple):
    """Where a frame begins, in the stored and in the decompressed file."""

    stored: int
    offset: int


@dataclass(frozen=True, slots=True)
class SeekTable:
    """Sizes of all frames in bytes, int64."""

    stored: np.ndarray
    decompressed: np.ndarray

    @property
    def end(self) -> Border:
        """Where the table itself begins."""
        return Border(int(self.stored.sum()), int(self.decompressed.sum()))

    def borders(self, size_bytes: int) -> list[Border]:
        """Of slices of at least `size_bytes` decompressed each; the first is the file's beginning.

        None is at an empty frame.
        """
        stored = np.concatenate([[0], np.cumsum(self.stored)])
        offsets = np.concatenate([[0], np.cumsum(self.decompressed)])
        found, frame = [Border(0, 0)], 0
        while True:
            # The last of those that begin at this offset is the one that is not empty.
            reached = int(np.searchsorted(offsets, offsets[frame] + size_bytes))
            if reached >= len(offsets) or offsets[reached] == offsets[-1]:
                return found
            frame = int(np.searchsorted(offsets, offsets[reached], side="right")) - 1
            found.append(Border(int(stored[frame]), int(offsets[frame])))


def read_borders(handle: BinaryIO, size_bytes: int) -> list[Border]:
    """Where slices of a zstd file may begin, and at last its end; empty: it is one stream."""
    table = read_table(handle)
    if table is None:
        return []
    borders = table.borders(size_bytes)
    if not all(_begins_frame(handle, table, border) for border in borders[1:]):
        return []
    return [*borders, table.end]


def read_table(handle: BinaryIO) -> SeekTable | None:
    """The seek table of a zstd file, or None where there is none, or one that cannot be true."""
    file_bytes = handle.seek(0, 2)
    if file_bytes < HEADER_BYTES + FOOTER_BYTES:
        return None
    footer = _read(handle, file_bytes - FOOTER_BYTES, FOOTER_BYTES)
    num_frames, flags = int.from_bytes(footer[:4], "little"), footer[4]
    is_known = int.from_bytes(footer[5:], "little") == FOOTER_MAGIC and not flags & RESERVED_FLAGS
    num_fields = 3 if flags & CHECKSUM_FLAG else 2
    table_bytes = num_frames * num_fields * 4
    start = file_bytes - FOOTER_BYTES - table_bytes - HEADER_BYTES
    if not is_known or num_frames > MAX_FRAMES or start < 0:
        return None
    data = _read(handle, start, HEADER_BYTES + table_bytes)
    header = TABLE_MAGIC.to_bytes(4, "little") + (table_bytes + FOOTER_BYTES).to_bytes(4, "little")
    if not data.startswith(header):
        return None
    sizes = np.frombuffer(data, "<u4", offset=HEADER_BYTES).reshape(-1, num_fields)
    table = SeekTable(sizes[:, 0].astype(np.int64), sizes[:, 1].astype(np.int64))
    return table if table.end.stored == start and _can_be(table, file_bytes) else None


def _read(handle: BinaryIO, start: int, num_bytes: int) -> bytes:
    handle.seek(start)
    return handle.read(num_bytes).ljust(num_bytes, b"\0")  # it may have shrunk since


def _can_be(table: SeekTable, file_bytes: int) -> bool:
    try:
        check_expansion(table.end.offset, file_bytes, "the table")
    except DamagedStream:
        return False
    return True


def _begins_frame(handle: BinaryIO, table: SeekTable, border: Border) -> bool:
    """Whether a frame stands there whose header does not contradict the table."""
    head = _read(handle, border.stored, MAX_FRAME_HEADER_BYTES)
    if not head.startswith(FRAME_MAGIC):
        return False
    try:
        told = zstandard.frame_content_size(head)
    except zstandard.ZstdError:
        return False
    frame = int(np.searchsorted(np.cumsum(table.stored), border.stored, side="right"))
    return told < 0 or told == table.decompressed[frame]


class Frames:
    """The decompressed bytes of a slice, and of what follows it: its last line may end there."""

    def __init__(self, handle: BinaryIO, first: Border, last: Border) -> None:
        self._handle, self.first, self._last = handle, first, last
        self.has_passed = False  # the slice's own frames

    def chunks(self) -> Iterator[bytes]:
        """Raises DamagedStream, also where the slice is longer or shorter than the table says."""
        wanted, num_bytes = self._last.offset - self.first.offset, 0
        self._handle.seek(self.first.stored)
        own = _Window(self._handle, self._last.stored - self.first.stored)
        for chunk in chunks(own, "zst"):
            if fits := chunk[: wanted - num_bytes]:
                yield fits
            num_bytes += len(chunk)
            if num_bytes > wanted:
                break
        if num_bytes != wanted:
            raise DamagedStream(
                "corrupt",
                f"the frames from byte {self.first.stored:,} on hold "
                f"{'more' if num_bytes > wanted else 'fewer'} than the {wanted:,} bytes of the "
                "seek table; decompress the file, or write it again",
            )
        self.has_passed = True
        yield from self.following()

    def following(self) -> Iterator[bytes]:
        """What stands behind the slice."""
        self._handle.seek(self._last.stored)
        yield from chunks(self._handle, "zst")


class _Window:
    """The next `num_bytes` of a file, as if it ended there."""

    def __init__(self, handle: BinaryIO, num_bytes: int) -> None:
        self._handle, self._left = handle, num_bytes

    def read(self, size: int, /) -> bytes:
        data = self._handle.read(min(size, self._left))
        self._left -= len(data)
        return data


def frames_of(handle: BinaryIO, start: int, end: int | None) -> Frames | None:
    """The frames of the slice `[start, end)`, whose ends are one behind a border.

    None where the table that it was cut by is there no more.
    """
    table = read_table(handle)
    if table is None:
        return None
    stored, offsets = np.cumsum(table.stored), np.cumsum(table.decompressed)

    def border(offset: int) -> Border | None:
        frame = int(np.searchsorted(offsets, offset, side="right"))
        before = Border(int(stored[frame - 1]), int(offsets[frame - 1])) if frame else Border(0, 0)
        return before if before.offset == offset else None

    first = border(start - 1) if start else Border(0, 0)
    last = table.end if end is None else border(end - 1)
    return None if first is None or last is None else Frames(handle, first, last)
