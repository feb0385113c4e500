"""gzip files with a member for each record, as web archives are written: slices at its members.

A member is believed when it has been read to its end and its checksum holds. After a damaged one
the next that begins a record is looked for.

Slices begin at members that the bytes before them need not be read for. The bytes of a member may
lie inside of another one (an archive that holds a `.warc.gz`): deflate stores what it cannot
compress as it is, in blocks of at most 65,535 bytes with five bytes between them. A chain of
members longer than that is no content of another member.
"""

import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from pipeline.sources.compression import CHUNK_BYTES, DamagedStream, check_expansion
from pipeline.sources.documents import Bad
from pipeline.sources.http_message import END_OF_HEAD, parse_headers
from pipeline.sources.warc_records import MAX_HEAD_BYTES, VERSION, Pull, Record, cut_records

MAGIC = b"\x1f\x8b\x08"
WINDOW_BYTES = 1 << 16
PROBE_BYTES = 1 << 12  # enough stored bytes for the first five of the content
CHAIN_BYTES = 1 << 17  # twice the largest stored block
# `source_row` is the offset of the member; of a further record in one member also its number in
# it, above the bits of the offset (files up to 1 TB, four million records in a member).
RECORD_BITS = 40
MAX_RECORDS = 1 << 22
# What may be read again of a damaged file, so that time stays linear: members that run into others.
FREE_BYTES, BYTES_PER_BYTE = 8 << 20, 4


class Window:
    """The stored bytes of a file at any position, read 64 KB at a time."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._data, self._start = memoryview(b""), 0

    def at(self, position: int, num_bytes: int = 1) -> memoryview:
        """Bytes from a position on: at least so many, unless the file ends; empty at its end."""
        at = position - self._start
        if at < 0 or at + num_bytes > len(self._data):
            self._handle.seek(position)
            data = self._handle.read(max(WINDOW_BYTES, num_bytes))
            self._data, self._start, at = memoryview(data), position, 0
        return self._data[at:]

    def find(self, pattern: bytes, position: int) -> int | None:
        """The first place of the pattern at or after a position."""
        while len(data := self.at(position, len(pattern))) >= len(pattern):
            found = bytes(data).find(pattern)
            if found >= 0:
                return position + found
            position += len(data) - len(pattern) + 1
        return None


@dataclass
class Given:
    """What the members of a slice have given so far; of each alone too little to be a bomb."""

    start: int  # of the slice
    num_bytes: int = 0
    is_spent: bool = False  # nothing more is handed out

    def add(self, num_bytes: int, position: int) -> None:
        """Raises DamagedStream where it is too much for what is stored up to this position."""
        self.num_bytes += num_bytes
        try:
            check_expansion(self.num_bytes, position - self.start, "the gz data")
        except DamagedStream:
            self.is_spent = True
            raise


@dataclass
class Member:
    """One gzip member: chunks of its content, then where the next one begins."""

    window: Window
    position: int  # of the next stored byte; after the last chunk, of what follows the member
    given: Given = field(default_factory=lambda: Given(0))

    def chunks(self) -> Iterator[bytes]:
        """Raises DamagedStream where it ends too early, or its content or checksum is wrong, or
        where it expands too far."""
        stream = zlib.decompressobj(wbits=31)
        num_bytes = 0
        while not stream.eof:
            data = self.window.at(self.position)
            if not data:
                raise DamagedStream("truncated", f"the member ends after {num_bytes} bytes of text")
            try:
                output = stream.decompress(data, CHUNK_BYTES)
            except zlib.error as exc:
                detail = f"the member is damaged after {num_bytes} bytes of text ({exc})"
                raise DamagedStream("corrupt", detail) from exc
            self.position += len(data) - len(stream.unused_data or stream.unconsumed_tail)
            num_bytes += len(output)
            self.given.add(len(output), self.position)
            if output:
                yield output


def has_member_per_record(handle: BinaryIO) -> bool:
    """Whether a gzip file's first member holds one record, or is too damaged to tell."""
    pull = Pull(Member(Window(handle), 0).chunks())
    try:
        head = pull.until(END_OF_HEAD, MAX_HEAD_BYTES)
        length = parse_headers(head or b"").get("content-length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 16):
            return False
        pull.skip(int(length))
        return not pull.peek(2 * len(VERSION)).lstrip(b"\r\n")
    except DamagedStream:
        return True


def member_records(
    handle: BinaryIO, start: int, end: int | None, max_block_bytes: int
) -> Iterator[Record | Bad]:
    """The records of the members that begin in `[start, end)`; a damaged member is one Bad."""
    window, position = Window(handle), start
    allowance, given = FREE_BYTES - BYTES_PER_BYTE * start, Given(start)
    while (end is None or position < end) and (head := window.at(position, len(MAGIC))):
        if head[0] == 0:  # padding, as gzip allows
            position += len(head) - len(bytes(head).lstrip(b"\0"))
            continue
        member = Member(window, position, given)
        bad = yield from _records_of(member, position, max_block_bytes)
        if bad is None:
            position = member.position
            continue
        if given.is_spent:
            yield bad
            return
        allowance -= member.position - position
        is_cheap = allowance + BYTES_PER_BYTE * member.position >= 0
        after = position + 1 if is_cheap else max(position + 1, member.position)
        found = next_member(window, after)
        goes_on = "no record follows" if found is None else f"the next record is at {found}"
        yield bad._replace(detail=f"{bad.detail}; {goes_on}")
        if found is None:
            return
        position = found


def _records_of(
    member: Member, row: int, max_block_bytes: int
) -> Generator[Record | Bad, None, Bad | None]:
    """Its records, each when the next one is found; returns what is wrong with the member."""
    held: Record | Bad | None = None
    pull = Pull(member.chunks())
    try:
        for number, record in enumerate(cut_records(pull, None, max_block_bytes)):
            if held is not None:
                yield held
            if number == MAX_RECORDS:
                held = Bad(row, "bad_row", f"the member holds more than {MAX_RECORDS} records")
                pull.skip(1 << 62)
                break
            held = record._replace(row=row + (number << RECORD_BITS))
    except DamagedStream as damage:
        raw = getattr(held, "block", None)
        return Bad(row, damage.reason, damage.detail, raw)
    if held is not None:
        yield held
    return None


def next_member(window: Window, position: int) -> int | None:
    """The first place at or after a position where a member with a record begins."""
    found = window.find(MAGIC, position)
    while found is not None and not _begins_record(window.at(found, PROBE_BYTES)[:PROBE_BYTES]):
        found = window.find(MAGIC, found + 1)
    return found


def _begins_record(data: memoryview) -> bool:
    try:
        return zlib.decompressobj(wbits=31).decompress(data, len(VERSION)) == VERSION
    except zlib.error:
        return False


def split_points(handle: BinaryIO, size_bytes: int, step_bytes: int) -> list[int]:
    """Places for slices to begin, about `step_bytes` apart; the first is 0."""
    window, points = Window(handle), [0]
    while (target := points[-1] + step_bytes) < size_bytes:
        found = next_member(window, target)
        while found is not None and (broken := _break_of_chain(window, found, size_bytes)):
            found = next_member(window, max(found + 1, broken))
        if found is None:
            break
        points.append(found)
    return points


def _break_of_chain(window: Window, start: int, size_bytes: int) -> int | None:
    """Where members that follow one another from here on stop to do so.

    None where they do so for `CHAIN_BYTES`, or to the end of the file.
    """
    member = Member(window, start)
    try:
        while _begins_record(window.at(member.position, PROBE_BYTES)[:PROBE_BYTES]):
            for _ in member.chunks():
                if member.position - start > CHAIN_BYTES:
                    return None
            if member.position - start > CHAIN_BYTES or member.position == size_bytes:
                return None
    except DamagedStream:
        pass  # a place like any other where a chain may stop
    return member.position
