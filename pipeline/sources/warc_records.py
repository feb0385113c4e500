"""WARC 1.0 and 1.1 (ISO 28500) records, cut out of a stream of bytes.

WARC/1.0 CRLF  (name: value CRLF)*  CRLF  <Content-Length bytes>  CRLF CRLF
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pipeline.sources.documents import Bad
from pipeline.sources.http_message import END_OF_HEAD, parse_headers
from pipeline.sources.schema import RAW_BYTES

MAX_HEAD_BYTES = 1 << 18
VERSION = b"WARC/"
# A record begins a line: what follows the newline of the record before.
_BEGINNING = b"\nWARC/1."
RECORD_END = b"\r\n\r\n"
_LONGEST_END = len(RECORD_END)  # some writers leave a part of it out
# What may be read again of a damaged stream: records that claim what follows them.
FREE_RETURNS, RETURNS_PER_BYTE = 8 << 20, 4


class Record(NamedTuple):
    """One record. `block` is cut off at the limit of who reads it."""

    row: int
    headers: Mapping[str, str]  # names in lower case
    block: bytes
    num_bytes: int  # of the whole block


class Pull:
    """Chunks of bytes, taken in pieces; holds what is asked for and a chunk more."""

    def __init__(self, chunks: Iterator[bytes], offset: int = 0) -> None:
        self.offset = offset  # of the next byte to take
        self.row = offset  # where the record that is being cut begins
        self._allowance = FREE_RETURNS - RETURNS_PER_BYTE * offset
        self._chunks = chunks
        self._data, self._at = b"", 0

    def _more(self) -> bool:
        chunk = next(self._chunks, b"")
        if chunk:
            self._data, self._at = self._data[self._at :] + chunk, 0
        return bool(chunk)

    def _advance(self, num_bytes: int) -> None:
        self._at += num_bytes
        self.offset += num_bytes

    def peek(self, num_bytes: int) -> bytes:
        """The next bytes, fewer only at the end."""
        while len(self._data) - self._at < num_bytes and self._more():
            pass
        return self._data[self._at : self._at + num_bytes]

    def take(self, num_bytes: int) -> bytes:
        """The same, taken."""
        parts = []
        while num_bytes and (self._at < len(self._data) or self._more()):
            part = self._data[self._at : self._at + num_bytes]
            parts.append(part)
            num_bytes -= len(part)
            self._advance(len(part))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def skip(self, num_bytes: int) -> int:
        """Pass over bytes without holding them; how many there were."""
        start, end = self.offset, self.offset + num_bytes
        while self.offset < end and (self._at < len(self._data) or self._more()):
            self._advance(min(end - self.offset, len(self._data) - self._at))
        return self.offset - start

    def put_back(self, data: bytes) -> bool:
        """Return bytes that were taken last; refused after too many, so that time is linear."""
        self._allowance -= len(data)
        if self._allowance + RETURNS_PER_BYTE * self.offset < 0:
            return False
        self._data, self._at = data + self._data[self._at :], 0
        self.offset -= len(data)
        return True

    def until(self, end: re.Pattern[bytes], max_bytes: int) -> bytes | None:
        """Take up to the end of a match that lies within `max_bytes`; None if there is none."""
        wanted = 1 << 11
        while True:
            data = self.peek(min(wanted, max_bytes))
            if found := end.search(data):
                return self.take(found.end())
            if len(data) < wanted or wanted >= max_bytes:
                return None
            wanted *= 4

    def find(self, pattern: bytes) -> bool:
        """Pass over what lies before the pattern, or over all there is."""
        while True:
            found = self._data.find(pattern, self._at)
            if found >= 0:
                self._advance(found - self._at)
                return True
            self._advance(max(0, len(self._data) - self._at - len(pattern) + 1))
            if not self._more():
                self._advance(len(self._data) - self._at)
                return False


def cut_records(pull: Pull, end: int | None, max_block_bytes: int) -> Iterator[Record | Bad]:
    """Records that begin before the offset `end`, their rows the offsets of their first bytes.

    What is no record is one Bad up to where the next one begins; so is a record whose length is
    wrong, with what it hides. Passes on the DamagedStream of the chunks, after the last good
    record.
    """
    while _skip_newlines(pull) and (end is None or pull.offset < end):
        row = pull.row = pull.offset
        head = pull.until(END_OF_HEAD, MAX_HEAD_BYTES) if pull.peek(5) == VERSION else None
        headers = parse_headers(head.partition(b"\n")[2]) if head else {}
        length = headers.get("content-length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 16):
            yield _no_record(pull, row, head or b"")
            continue
        block = pull.take(min(int(length), max_block_bytes))
        num_bytes = len(block) + pull.skip(int(length) - len(block))
        if num_bytes == int(length) and _is_at_end(pull):
            yield Record(row, headers, block, num_bytes)
        else:
            yield _wrong_length(pull, row, block, num_bytes, int(length))


def _skip_newlines(pull: Pull) -> bool:
    """Move to the next byte that ends no line; False at the end of the stream."""
    while data := pull.peek(_LONGEST_END):
        rest = data.lstrip(b"\r\n")
        pull.skip(len(data) - len(rest))
        if rest:
            return True
    return False


def _is_at_end(pull: Pull) -> bool:
    after = pull.peek(_LONGEST_END + len(VERSION))
    rest = after.lstrip(b"\r\n")
    return after.startswith(RECORD_END) or not rest or rest.startswith(VERSION)


def _no_record(pull: Pull, row: int, head: bytes) -> Bad:
    raw = head + pull.peek(RAW_BYTES - len(head))
    pull.put_back(head[-1:])  # its newline may be the one before the next record
    is_found = pull.find(_BEGINNING)
    raw = raw[: pull.offset - row]
    if not head and pull.offset - row > MAX_HEAD_BYTES and raw.startswith(VERSION):
        detail = f"the header of a record does not end within {MAX_HEAD_BYTES} bytes"
        return Bad(row, "corrupt", detail, raw)
    if not (is_found or head) and (raw.startswith(VERSION) or VERSION.startswith(raw)):
        return Bad(row, "truncated", "the bytes end in the header of a record", raw)
    reason = "corrupt" if is_found or row else "unreadable"
    what = "a record without a Content-Length" if head else "no WARC record"
    return Bad(row, reason, f"{pull.offset - row} bytes are {what}", raw)


def _wrong_length(pull: Pull, row: int, block: bytes, num_bytes: int, length: int) -> Bad:
    """The record up to where the next one begins, which may be within what its length claims."""
    is_short = num_bytes < length
    if len(block) == num_bytes:
        hidden = block.find(_BEGINNING)
        kept = hidden if hidden >= 0 else max(0, num_bytes - len(_BEGINNING))
        if pull.put_back(block[kept:]):
            block = block[:kept] if hidden >= 0 else block
    is_found = pull.find(_BEGINNING)
    if is_short and not is_found:
        detail = f"the record has {num_bytes} bytes, its Content-Length is {length}"
        return Bad(row, "truncated", detail, block[:RAW_BYTES])
    detail = f"no record follows the record's Content-Length of {length} bytes"
    return Bad(row, "corrupt", detail, block[:RAW_BYTES])
