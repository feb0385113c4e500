"""Where the rows of CSV and TSV end, by the rules of pyarrow's parser, as a resumable automaton."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numba import njit

from pipeline.sources.compression import DamagedStream
from pipeline.sources.documents import Bad
from pipeline.sources.schema import RAW_BYTES

# Inside a row: at the start of a value, in a bare one, in a quoted one, after a quote in that, and
# after a \r, which ends the row whether or not \n follows.
START, BARE, QUOTED, QUOTE, RETURN = 0, 1, 2, 3, 4
QUOTE_BYTE, LINE_FEED, CARRIAGE_RETURN = ord('"'), ord("\n"), ord("\r")


class RowBlock(NamedTuple):
    """Whole rows, back to back in `data`; empty lines may lie between them."""

    first_row: int  # number of the first row that is not an empty line
    data: bytes
    start: np.ndarray  # int64
    end: np.ndarray  # int64, past the newline
    num_fields: np.ndarray  # int64


@njit(cache=True, nogil=True)
def find_rows(
    data: np.ndarray, delimiter: int, state: int, fields: int, ends: np.ndarray, counts: np.ndarray
) -> tuple[int, int, int]:
    """Fill the end of each row (past its newline) and its number of fields, 0 for an empty line.

    Starts from `state` and the fields seen in the open row; returns the number of rows and both
    again. A value is quoted if it starts with a quote; what follows its closing quote is literal.
    """
    num_rows = 0
    for i in range(len(data)):
        byte = data[i]
        if state == RETURN:
            state = START
            ends[num_rows] = i + 1 if byte == LINE_FEED else i
            counts[num_rows] = fields
            num_rows += 1
            fields = 1
            if byte == LINE_FEED:
                continue
        if state == QUOTED:
            if byte == QUOTE_BYTE:
                state = QUOTE
        elif byte == QUOTE_BYTE and state != BARE:
            state = QUOTED  # opens a value, or doubles a quote inside of one
        elif byte == delimiter:
            state = START
            fields += 1
        elif byte in (LINE_FEED, CARRIAGE_RETURN):
            if state == START and fields == 1:
                fields = 0
            state = RETURN
            if byte == LINE_FEED:
                ends[num_rows] = i + 1
                counts[num_rows] = fields
                num_rows += 1
                state, fields = START, 1
        else:
            state = BARE
    return num_rows, state, fields


class RowCutter:
    """Chunks in, blocks of whole rows out; rows are numbered from `next_row`.

    A row over `row_bytes` is one `too_large` row, not held whole. At the end of the file a quote
    that is still open costs one line (`bad_row`); the rest is read again from the next line.
    """

    def __init__(self, delimiter: int, row_bytes: int, next_row: int) -> None:
        self.delimiter = delimiter
        self.row_bytes = row_bytes
        self.next_row = next_row
        self._state, self._fields = START, 1
        self._open: list[bytes] = []  # of the row that is not complete
        self._skipping = False

    def add(self, data: bytes) -> Iterator[RowBlock | Bad]:
        ends, counts = self._scan(data)
        if not len(ends):
            self._open.append(data)
        else:
            cut = int(ends[-1])
            yield from self._emit(data[:cut], ends, counts)
            self._open = [data[cut:]]
        if sum(map(len, self._open)) > self.row_bytes:
            self._open = [b"".join(self._open)[:RAW_BYTES]]
            self._skipping = True

    def finish(self) -> Iterator[RowBlock | Bad]:
        if self._skipping:
            yield self._too_large()
            return
        while self._state == QUOTED:
            data = b"".join(self._open)
            line = data.find(b"\n") + 1 or len(data)
            detail = "a quote is opened and never closed"
            yield Bad(self._take_row(), "bad_row", detail, data[:line])
            self._open, self._state, self._fields = [], START, 1
            yield from self.add(data[line:])
        if any(self._open):
            # The last row has no newline, or ends in a \r, which has emptied it if it is empty.
            yield from self._emit(b"", np.zeros(1, dtype=np.int64), np.array([self._fields]))

    def break_off(self, damage: DamagedStream) -> Bad:
        """The open row of a damaged stream."""
        return Bad(self._take_row(), damage.reason, damage.detail, b"".join(self._open))

    def _scan(self, data: bytes) -> tuple[np.ndarray, np.ndarray]:
        most = data.count(b"\n") + data.count(b"\r") + 1
        ends, counts = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64)
        view = np.frombuffer(data, dtype=np.uint8)
        num_rows, self._state, self._fields = find_rows(
            view, self.delimiter, self._state, self._fields, ends, counts
        )
        return ends[:num_rows], counts[:num_rows]

    def _emit(self, data: bytes, ends: np.ndarray, counts: np.ndarray) -> Iterator[RowBlock | Bad]:
        """`data` completes the open row; `ends` are relative to it."""
        if self._skipping:
            yield self._too_large()
            data, ends, counts = data[ends[0] :], ends[1:] - ends[0], counts[1:]
            held = 0
        else:
            held = sum(map(len, self._open))
            data = b"".join([*self._open, data])
        ends = ends + held
        start = np.concatenate([np.zeros(1, dtype=np.int64), ends])[: len(ends)]
        filled = counts > 0
        first, num_rows = self.next_row, int(filled.sum())
        self.next_row += num_rows
        if num_rows:
            yield RowBlock(first, data, start[filled], ends[filled], counts[filled])

    def _too_large(self) -> Bad:
        self._skipping = False
        detail = f"the row has more than {self.row_bytes} bytes, or a quote is not closed"
        return Bad(self._take_row(), "too_large", detail, self._open[0])

    def _take_row(self) -> int:
        self.next_row += 1
        return self.next_row - 1
