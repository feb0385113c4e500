"""Compiled loops that list the lines of texts that are not blank, and count over the list.

A listed line is without the white space at its ends. Lines end at LF, CR, CR LF or the end of the
text. The lines of text r are `first_lines[r]` up to `first_lines[r + 1]`, and line i is
`data[begins[i]:ends[i]]`, which is valid UTF-8.
"""

import numpy as np

from filters.kernels.categories import END_QUOTE, TERMINAL
from filters.kernels.characters import BULLET, SPACE
from filters.kernels.compiled import kernel
from filters.kernels.text import CR, LF, decode

HASH, DOT = 0x23, 0x2E
ELLIPSIS_1, ELLIPSIS_2, ELLIPSIS_3 = "…".encode()

_SIGNS = np.zeros(256, np.bool_)  # the bytes that `list_lines` looks at
_SIGNS[[LF, CR, HASH, DOT, ELLIPSIS_1]] = True

_APOSTROPHE, _SINGLE_QUOTE, _ELLIPSIS = ord("'"), ord("’"), ord("…")  # noqa: RUF001


@kernel
def count_line_ends(data: np.ndarray) -> int:
    """LF and CR: with one more per text at least as many as there are lines."""
    num_ends = 0
    for byte in data:
        num_ends += (byte == LF) | (byte == CR)
    return num_ends


@kernel
def list_lines(
    offsets: np.ndarray,
    data: np.ndarray,
    flags: np.ndarray,
    first_lines: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    num_chars: np.ndarray,
    opens: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Fill the list; count all lines, those that begin with a bullet, those that end with an
    ellipsis; hash signs; ellipses; line ends; listed lines; code points in those.

    `opens` says of a line whether a paragraph, a run of lines that are not blank, begins with it.
    An ellipsis is "…" or three dots (of a run of dots, each third). Most bytes are passed over
    after one look at `_SIGNS`.
    """
    line = 0
    for row in range(len(offsets) - 1):
        first_lines[row] = line
        start, stop = offsets[row], offsets[row + 1]
        num_lines = num_bullets = num_closed = num_hashes = num_ellipses = num_ends = 0
        num_line_chars = 0
        after_blank = True
        at = start
        while start < stop:
            byte = data[at] if at < stop else np.uint8(LF)  # the end of the text ends its last line
            if not _SIGNS[byte]:
                at += 1
            elif byte == HASH:
                num_hashes += 1
                at += 1
            elif byte in (DOT, ELLIPSIS_1):
                found = _is_ellipsis(data, at, stop)
                num_ellipses += found
                at += 3 if found else 1
            else:
                num_lines += 1
                num_ends += at < stop
                begin = _after_space(data, start, at, flags)
                if begin < at:
                    end = _before_space(data, begin, at, flags)
                    code, _ = decode(data, begin, end)
                    num_bullets += flags[code] & BULLET > 0
                    num_closed += end - 3 >= begin and _is_ellipsis(data, end - 3, end)
                    begins[line], ends[line] = begin, end
                    num_chars[line] = _count_chars(data[begin:end])
                    num_line_chars += num_chars[line]
                    opens[line] = after_blank
                    line += 1
                after_blank = begin == at
                at += 2 if byte == CR and at + 1 < stop and data[at + 1] == LF else 1
                start = at
        counts[0, row] = num_lines
        counts[1, row] = num_bullets
        counts[2, row] = num_closed
        counts[3, row] = num_hashes
        counts[4, row] = num_ellipses
        counts[5, row] = num_ends
        counts[6, row] = line - first_lines[row]
        counts[7, row] = num_line_chars
    first_lines[len(offsets) - 1] = line


@kernel
def _is_ellipsis(data: np.ndarray, at: int, stop: int) -> bool:
    if at + 2 >= stop:
        return False
    if data[at] == DOT:
        return bool(data[at + 1] == DOT and data[at + 2] == DOT)
    return bool(
        data[at] == ELLIPSIS_1 and data[at + 1] == ELLIPSIS_2 and data[at + 2] == ELLIPSIS_3
    )


@kernel
def count_terminal(
    data: np.ndarray,
    categories: np.ndarray,
    first_lines: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Lines whose last character ends a sentence or a quotation."""
    for row in range(len(first_lines) - 1):
        num_terminal = 0
        for line in range(first_lines[row], first_lines[row + 1]):
            at = _last(data, begins[line], ends[line])
            code, _ = decode(data, at, ends[line])
            num_terminal += _is_terminal(code, categories)
        counts[0, row] = num_terminal


@kernel
def _is_terminal(code: int, categories: np.ndarray) -> bool:
    if categories[code] & (TERMINAL | END_QUOTE):
        return True
    return code in (_APOSTROPHE, _SINGLE_QUOTE, _ELLIPSIS)


@kernel
def count_short(
    first_lines: np.ndarray, num_chars: np.ndarray, max_chars: int, counts: np.ndarray
) -> None:
    """Lines of at most `max_chars` code points."""
    for row in range(len(first_lines) - 1):
        num_short = 0
        for line in range(first_lines[row], first_lines[row + 1]):
            num_short += num_chars[line] <= max_chars
        counts[0, row] = num_short


@kernel
def _count_chars(piece: np.ndarray) -> int:
    """Code points: the bytes that do not continue one."""
    num_chars = 0
    for byte in piece:
        num_chars += byte & 0xC0 != 0x80
    return num_chars


@kernel
def _after_space(data: np.ndarray, at: int, end: int, flags: np.ndarray) -> int:
    """Where the first code point that is not white space begins, or `end`."""
    while at < end:
        code, after = decode(data, at, end)
        if not flags[code] & SPACE:
            return at
        at = after
    return end


@kernel
def _before_space(data: np.ndarray, begin: int, end: int, flags: np.ndarray) -> int:
    """Where the last code point that is not white space ends, or `begin`."""
    while end > begin:
        at = _last(data, begin, end)
        code, _ = decode(data, at, end)
        if not flags[code] & SPACE:
            return end
        end = at
    return begin


@kernel
def _last(data: np.ndarray, begin: int, end: int) -> int:
    """Where the last code point begins."""
    at = end - 1
    while at > begin and data[at] & 0xC0 == 0x80:
        at -= 1
    return at
