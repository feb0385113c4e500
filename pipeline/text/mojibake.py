"""Repair of garbled text: UTF-8 that was once read as another encoding, line by line, by ftfy.

A kernel finds the lines that may be garbled (`mojibake_signs`), so that ftfy sees no other. A line
is the unit because ftfy is surer of a short text in one encoding than of a long one in several.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from ftfy import fix_encoding
from numba import njit
from numpy.typing import NDArray

from pipeline.text.buffers import replace_rows, utf8
from pipeline.text.mojibake_doubts import FTFY, is_doubtful
from pipeline.text.mojibake_signs import NEXT_LINE, signs

# What ftfy is given at once; a longer line is cut after an ASCII or before a CJK character, where
# no garbled character goes on.
MAX_LINE_BYTES = 1_000_000
_FIRST_CJK = 0x3000
_FIRST_SUSPECT = 0xC2  # lead byte of U+0080: below it all is ASCII
_NUM_EXPECTED = 1000  # suspect lines of a batch; where there are more, it is read twice
_LF, _CR = 10, 13


class Repaired(NamedTuple):
    """The texts, and per row how many of its lines ftfy changed."""

    texts: pa.StringArray
    num_lines: NDArray[np.int32]


def repair(texts: pa.StringArray) -> Repaired:
    """Undo what a wrong encoding did to each line, as `ftfy.fix_encoding` does; lines whose repair
    is doubtful (`mojibake_doubts`) stay.

    `texts` has no nulls. Lines end at LF, at CR, and at NEL where that is no part of a garbled
    character (`_is_garbled`). Read as Windows-1252, what Latin-1 reads as C1 controls are quotation
    marks and dashes, and become those. A batch without garbled lines is returned as it came. Asked
    again, ftfy finds nothing more in a line; but beside a repaired letter a NEL may end its line no
    longer, so `clean` asks until nothing changes.
    """
    offsets, data = utf8(texts)
    num_lines = np.zeros(len(texts), np.int32)
    lines = _suspects(offsets, data)
    pieces: dict[int, list[tuple[int, int, bytes]]] = {}
    # Line by line, but suspects only: 236 of the 12.6 million lines of the development corpus.
    for row, begin, end in lines.tolist():
        before = data[begin:end].tobytes().decode()
        after = fix_encoding(before, FTFY)
        if after != before and not is_doubtful(before, after):
            pieces.setdefault(row, []).append((begin, end, after.encode()))
    if not pieces:
        return Repaired(texts, num_lines)
    num_lines[list(pieces)] = [len(changed) for changed in pieces.values()]
    rows = [
        _spliced(data, int(offsets[row]), int(offsets[row + 1]), changed)
        for row, changed in pieces.items()
    ]
    repaired = pa.array(rows, pa.binary()).cast(pa.string())
    return Repaired(replace_rows(texts, num_lines > 0, repaired), num_lines)


def may_be_garbled(texts: pa.StringArray) -> NDArray[np.bool_]:
    """Rows with a line that `repair` would ask ftfy about."""
    mask = np.zeros(len(texts), np.bool_)
    mask[_suspects(*utf8(texts))[:, 0]] = True
    return mask


def _suspects(offsets: NDArray[np.int32], data: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(row, begin, end) of each line with a sign of garbling, in order."""
    if not _beyond_ascii(offsets, data):
        return np.empty((0, 3), np.int64)
    lines = np.empty((_NUM_EXPECTED, 3), np.int64)
    num_lines = _find_lines(offsets, data, *signs(), lines)
    if num_lines > len(lines):
        lines = np.empty((num_lines, 3), np.int64)
        _find_lines(offsets, data, *signs(), lines)
    return lines[:num_lines]


def _spliced(
    data: NDArray[np.uint8], begin: int, end: int, changed: list[tuple[int, int, bytes]]
) -> bytes:
    parts = []
    for first, last, line in changed:
        parts += [data[begin:first].tobytes(), line]
        begin = last
    return b"".join([*parts, data[begin:end].tobytes()])


@njit(cache=True, nogil=True)
def _beyond_ascii(offsets, data):  # type: ignore[no-untyped-def]
    text = data[offsets[0] : offsets[-1]]
    highest = np.uint8(0)
    for i in range(len(text)):
        highest = max(highest, text[i])
    return highest >= _FIRST_SUSPECT


@njit(cache=True, nogil=True)
def _latin_1(data, i, begin, end):  # type: ignore[no-untyped-def]
    """The character of U+0080..U+00FF that begins at i of `data[begin:end]`; 0 if none does."""
    if i < begin or i >= end or not (data[i] == 0xC2 or data[i] == 0xC3):
        return 0
    return np.int64(data[i + 1]) + (data[i] - 0xC2) * 0x40


@njit(cache=True, nogil=True)
def _goes_on(character):  # type: ignore[no-untyped-def]
    """Whether it is, as a byte, a later one of a character in UTF-8."""
    return 0x80 <= character < 0xC0


@njit(cache=True, nogil=True)
def _is_garbled(data, i, begin, end):  # type: ignore[no-untyped-def]
    """Whether the NEL at i is no line end: with its neighbours, read as bytes, it is a character in
    UTF-8 of a script that is written much, or beside it is another C1 control, as where text in
    Windows-1252, whose byte 0x85 is an ellipsis, was read as Latin-1.
    """
    before, after = _latin_1(data, i - 2, begin, end), _latin_1(data, i + 2, begin, end)
    for beside in (before, after):
        if 0x80 <= beside < 0xA0 and beside != NEXT_LINE:
            return True
    if 0xC2 <= before <= 0xC5 or 0xCE <= before <= 0xD3 or 0xD7 <= before <= 0xDB:
        return True  # Latin, Greek, Cyrillic, Hebrew, Arabic; others would be É, Ö or Ü and an end
    if 0xE0 <= before <= 0xEF and _goes_on(after) and after != NEXT_LINE:
        return True
    return _goes_on(before) and 0xE0 <= _latin_1(data, i - 4, begin, end) <= 0xF4


@njit(cache=True, nogil=True)
def _find_lines(offsets, data, classes, pairs, triples, lines):  # type: ignore[no-untyped-def]
    """How many lines there are with a sign; as many as it holds are written to `lines`.

    Every rule has a character beyond ASCII second or third, so a run of ASCII is stepped over: what
    counts is its first character after such a one, and its last two before the next.
    """
    num_lines = 0
    start, beyond = classes[_LF], classes[0xFFFF]
    for row in range(len(offsets) - 1):
        i, row_end = np.int64(offsets[row]), np.int64(offsets[row + 1])
        begin, found = i, False
        before, last, code = start, start, 0
        while i <= row_end:
            run = i
            while i < row_end and data[i] < 0x80 and data[i] != _LF and data[i] != _CR:
                i += 1
            if i > run:
                this = classes[data[run]]
                if pairs[last, this]:
                    found |= triples[before, last, this]
                before = classes[data[i - 2]] if i - run > 1 else last
                last, code = classes[data[i - 1]], 0
            size, is_break = 1, i == row_end or data[i] < 0x80
            if not is_break:
                code, size = _code(data, i)
                if code == NEXT_LINE:
                    is_break = not _is_garbled(data, i, offsets[row], row_end)
            is_cut = i - begin > MAX_LINE_BYTES and (data[i - 1] < 0x80 or code >= _FIRST_CJK)
            if is_break or is_cut:
                if found:
                    if num_lines < len(lines):
                        lines[num_lines, 0], lines[num_lines, 1] = row, begin
                        lines[num_lines, 2] = i
                    num_lines += 1
                begin, found = i + size if is_break else i, False
                before, last = start, start
            if is_break:
                code = 0
            else:
                this = classes[code] if code < len(classes) else beyond
                if pairs[last, this]:
                    found |= triples[before, last, this]
                before, last = last, this
            i += size
    return num_lines


@njit(cache=True, nogil=True)
def _code(data, i):  # type: ignore[no-untyped-def]
    """(code point, bytes) of the character at i."""
    byte = np.int64(data[i])
    if byte < 0x80:
        return byte, 1
    if byte < 0xE0:
        return (byte & 0x1F) << 6 | np.int64(data[i + 1] & 0x3F), 2
    if byte < 0xF0:
        high = (byte & 0x0F) << 12 | np.int64(data[i + 1] & 0x3F) << 6
        return high | np.int64(data[i + 2] & 0x3F), 3
    high = (byte & 7) << 18 | np.int64(data[i + 1] & 0x3F) << 12
    return high | np.int64(data[i + 2] & 0x3F) << 6 | np.int64(data[i + 3] & 0x3F), 4
