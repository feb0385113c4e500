"""What the pages of a column chunk can become, from their headers, before they are decoded.

A value of 1 MB in a dictionary may be that of every row, and a value that begins as the one before
it (DELTA_BYTE_ARRAY) takes hardly a byte: so batches of such columns are cut by the longest value,
those of all others by their bytes. A page's own header is what pyarrow decompresses by, whatever
the footer says.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

from pipeline.sources.compression import check_expansion
from pipeline.sources.parquet_footer import FIXED, Column
from pipeline.sources.thrift import Compact, Fields

HEADER_BYTES = 1 << 8  # without the least and greatest values, a header has about 30
MAX_HEADER_BYTES = 1 << 24  # as in pyarrow
MOST_PAGES = 1000  # and one for each KB; writers make one for each MB
DATA, DICTIONARY, DATA_V2 = 0, 2, 3  # of the types of pages
DICTIONARY_ENCODINGS = (2, 8)
DELTA_BYTE_ARRAY = 7
CODECS = {0: None, 1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}


class Page(NamedTuple):
    """A page by its header."""

    kind: int
    encoding: int
    num_values: int
    num_bytes: int  # decompressed
    num_stored_bytes: int
    start: int  # of its bytes in the file, after the header


class Pages(NamedTuple):
    """What a column chunk's pages say together."""

    num_bytes: int  # decompressed
    num_values: int  # that may take more bytes than are stored of them
    longest_bytes: int  # of those values

    def most_bytes(self, num_values: float) -> float:
        """What `num_values` values may take beside the bytes that are stored."""
        return min(num_values, self.num_values) * self.longest_bytes


def pages_of(handle: pa.NativeFile, column: Column) -> Pages:
    """Reads the headers, 256 bytes of each page, and the dictionary.

    Where a header is damaged every value may be as long as the chunk: pyarrow says what is wrong.
    Raises DamagedStream where the dictionary expands too far.
    """
    num_bytes = num_values = longest = in_dictionary = 0
    try:
        for page in _headers(handle, column):
            num_bytes += page.num_bytes
            if page.kind == DICTIONARY and in_dictionary:
                raise ValueError("there is a second dictionary, which pyarrow refuses")
            if page.kind == DICTIONARY:
                in_dictionary = max(1, _longest_value(handle, column, page))
            elif page.encoding in (*DICTIONARY_ENCODINGS, DELTA_BYTE_ARRAY):
                of_page = page.num_bytes if page.encoding == DELTA_BYTE_ARRAY else in_dictionary
                num_values, longest = num_values + page.num_values, max(longest, of_page)
    except (ValueError, TypeError, AttributeError):  # the others: a field of another type
        return Pages(column.num_bytes, column.num_values, column.num_bytes)
    return Pages(num_bytes, num_values, longest)


def _headers(handle: pa.NativeFile, column: Column) -> Iterator[Page]:
    at, end = column.start, column.start + column.num_stored_bytes
    if end > handle.size():
        raise ValueError("a column chunk ends outside of the file")
    most_pages = MOST_PAGES + column.num_stored_bytes // 1000
    for _ in range(most_pages):
        if at >= end:
            return
        fields, start = _header(handle, at)
        kind, num_bytes, num_stored_bytes = (fields.get(number, -1) for number in (1, 2, 3))
        of_kind = fields.get({DATA: 5, DICTIONARY: 7, DATA_V2: 8}.get(kind, 0), {})
        encoding = of_kind.get(4 if kind == DATA_V2 else 2, -1)
        if min(num_bytes, num_stored_bytes) < 0 or start + num_stored_bytes > handle.size():
            raise ValueError("a page has no size, or ends outside of the file")
        num_values = max(0, of_kind.get(1, 0))
        yield Page(kind, encoding, num_values, num_bytes, num_stored_bytes, start)
        at = start + num_stored_bytes
    raise ValueError(f"there are more than {most_pages} pages")


def _header(handle: pa.NativeFile, at: int) -> tuple[Fields, int]:
    """The fields of the header at `at`, and where its page begins."""
    num_bytes = HEADER_BYTES
    while True:
        handle.seek(at)
        compact = Compact(bytes(handle.read(num_bytes)))
        try:
            return compact.fields(), at + compact.at
        except (IndexError, ValueError) as exc:  # it may be cut
            if num_bytes >= MAX_HEADER_BYTES or at + num_bytes >= handle.size():
                raise ValueError(f"the header of a page is damaged: {exc!r}") from exc
        num_bytes <<= 4


def _longest_value(handle: pa.NativeFile, column: Column, page: Page) -> int:
    """Bytes of the longest value of a dictionary page; all of its bytes where that is not known."""
    if column.physical_type == FIXED:
        return page.num_bytes // max(1, page.num_values)
    if column.codec not in CODECS:
        return page.num_bytes
    check_expansion(page.num_bytes, page.num_stored_bytes, "its dictionary")
    handle.seek(page.start)
    data = handle.read(page.num_stored_bytes)
    codec = CODECS[column.codec]
    try:
        plain = data if codec is None else pa.decompress(data, page.num_bytes, codec)
    except (pa.ArrowException, OSError):
        return page.num_bytes
    return int(_longest(np.frombuffer(plain, np.uint8)))


@njit(cache=True, nogil=True)
def _longest(page: np.ndarray) -> int:
    """Of values with their lengths before them, 4 bytes each; damaged ones reach to the end."""
    at = longest = 0
    while at + 4 <= len(page):
        num_bytes = 0
        for i in range(4):
            num_bytes |= int(page[at + i]) << 8 * i
        longest = max(longest, min(num_bytes, len(page) - at - 4))
        at += 4 + num_bytes
    return longest
