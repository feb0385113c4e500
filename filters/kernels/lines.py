"""Compiled loops over lines: where they are, what is in them, and the text of those that stay.

A span is `data[start:end]`, valid UTF-8, without a code point cut; spans of a text follow each
other. Nothing outside a span is looked at.
"""

from typing import Any

import numpy as np

from filters.kernels.categories import END_QUOTE, NUMBER, TERMINAL, UPPER
from filters.kernels.characters import SPACE
from filters.kernels.compiled import kernel
from filters.kernels.text import decode, word_step

LF, CR, DOT = 0x0A, 0x0D, 0x2E
OPEN, CLOSE = ord("["), ord("]")


@kernel
def split_lines(
    offsets: np.ndarray,
    data: np.ndarray,
    line_ends: np.ndarray,
    first_lines: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
) -> None:
    """Lines with what ends them, and the number of each text's first line.

    `line_ends` are the places of all LF and CR in the texts; the LF of CR LF ends no other line.
    """
    line = place = 0
    for row in range(len(offsets) - 1):
        first_lines[row] = line
        start, stop = offsets[row], offsets[row + 1]
        while place < len(line_ends) and line_ends[place] < stop:
            at = line_ends[place] + 1
            place += 1
            if data[at - 1] == CR and at < stop and data[at] == LF:
                at += 1
                place += 1
            starts[line], ends[line] = start, at
            line += 1
            start = at
        if start < stop:
            starts[line], ends[line] = start, stop
            line += 1
    first_lines[len(offsets) - 1] = line


@kernel
def strip(data: np.ndarray, flags: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
    """Take white space off both ends of each span."""
    for line in range(len(starts)):
        at, end = starts[line], ends[line]
        while at < end:
            code, after = decode(data, at, end)
            if not flags[code] & SPACE:
                break
            at = after
        while end > at:
            last = _last(data, at, end)
            code, _ = decode(data, last, end)
            if not flags[code] & SPACE:
                break
            end = last
        starts[line], ends[line] = at, end


@kernel
def _last(data: np.ndarray, start: int, end: int) -> int:
    """Where the last code point of a span begins."""
    last = end - 1
    while last > start and data[last] & 0xC0 == 0x80:
        last -= 1
    return last


@kernel
def end_in_mark(
    data: np.ndarray,
    categories: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    found: np.ndarray,
) -> None:
    """Whether a stripped span ends in a terminal or a closing quotation mark, and not in "..."."""
    for line in range(len(starts)):
        start, end = starts[line], ends[line]
        if start == end:
            found[line] = False
            continue
        code, _ = decode(data, _last(data, start, end), end)
        dots = (
            end - start >= 3
            and data[end - 1] == DOT
            and data[end - 2] == DOT
            and data[end - 3] == DOT
        )
        found[line] = categories[code] & (TERMINAL | END_QUOTE) != 0 and not dots


@kernel
def have_words(
    data: np.ndarray,
    flags: np.ndarray,
    min_words: int,
    max_chars: int,
    starts: np.ndarray,
    ends: np.ndarray,
    found: np.ndarray,
) -> None:
    """Whether a span has `min_words` words, and none of over `max_chars` code points.

    Words are those of `count_words`. Stops reading as soon as both are certain.
    """
    for line in range(len(starts)):
        at, end = starts[line], ends[line]
        may_be_long = end - at > max_chars
        words = length = most = alone = 0
        before = 1
        while at < end and (words < min_words or may_be_long):
            code, at = decode(data, at, end)
            flag: Any = np.int64(flags[code])
            starts_word, alone, before = word_step(flag, before, alone)
            words += starts_word
            length = (1 - before) * (1 + (1 - starts_word) * length)
            most = max(most, length)
        found[line] = words >= min_words and most <= max_chars


@kernel
def count_shapes(
    data: np.ndarray,
    flags: np.ndarray,
    categories: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Of each span: words; code points that are not white space; upper case; numbers."""
    for line in range(len(starts)):
        at, end = starts[line], ends[line]
        words = chars = upper = numbers = alone = 0
        before = 1
        while at < end:
            code, at = decode(data, at, end)
            flag: Any = np.int64(flags[code])
            starts_word, alone, before = word_step(flag, before, alone)
            words += starts_word
            chars += 1 - before
            upper += categories[code] & UPPER != 0
            numbers += categories[code] & NUMBER != 0
        counts[0, line], counts[1, line] = words, chars
        counts[2, line], counts[3, line] = upper, numbers


@kernel
def copy_lines(
    data: np.ndarray,
    first_lines: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    separated: bool,
    offsets: np.ndarray,
    copied: np.ndarray,
) -> None:
    """The texts that are left: spans one after another, with LF between them where `separated`."""
    out = 0
    for row in range(len(first_lines) - 1):
        offsets[row] = out
        for line in range(first_lines[row], first_lines[row + 1]):
            if separated and line > first_lines[row]:
                copied[out] = LF
                out += 1
            out = _copy(data, starts[line], ends[line], copied, out)
    offsets[len(first_lines) - 1] = out


@kernel
def remove_citations(
    offsets: np.ndarray,
    data: np.ndarray,
    brackets: np.ndarray,
    marks: np.ndarray,
    mark_offsets: np.ndarray,
    new_offsets: np.ndarray,
    copied: np.ndarray,
) -> None:
    """The texts without citation marks: "[", digits or none, "]", or one of `marks`.

    `brackets` are the places of all "[" in the texts.
    """
    out = place = 0
    for row in range(len(offsets) - 1):
        new_offsets[row] = out
        start, stop = offsets[row], offsets[row + 1]
        while place < len(brackets) and brackets[place] < stop:
            at = brackets[place]
            place += 1
            after = _after_citation(data, at, stop, marks, mark_offsets)
            if after > at:
                out = _copy(data, start, at, copied, out)
                start = after
        out = _copy(data, start, stop, copied, out)
    new_offsets[len(offsets) - 1] = out


@kernel
def _copy(data: np.ndarray, start: int, end: int, copied: np.ndarray, out: int) -> int:
    copied[out : out + end - start] = data[start:end]
    return out + end - start


@kernel
def _after_citation(
    data: np.ndarray, at: int, stop: int, marks: np.ndarray, mark_offsets: np.ndarray
) -> int:
    """Where a citation mark that begins at `at` is over, or `at` where there is none."""
    end = at + 1
    while end < stop and 0x30 <= data[end] <= 0x39:
        end += 1
    if end < stop and data[end] == CLOSE:
        return end + 1
    for mark in range(len(mark_offsets) - 1):
        start, size = mark_offsets[mark], mark_offsets[mark + 1] - mark_offsets[mark]
        same = at + size <= stop
        place = 0
        while same and place < size:
            same = data[at + place] == marks[start + place]
            place += 1
        if same:
            return int(at + size)
    return at
