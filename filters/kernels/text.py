"""Compiled loops over the bytes of texts: words, lines, stop words, samples.

All take Arrow's layout: row r is `data[offsets[r]:offsets[r + 1]]`, valid UTF-8, and write into
`counts`, int32 with a row per count and a column per text. None looks at a byte outside its row.

Kernels that call each other stand in one file, because numba's on-disk cache watches only the file
of the outermost one: a change elsewhere would leave stale machine code in use.
"""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba
import numpy as np

from filters.kernels.characters import BULLET, LETTER, MARK, SPACE

P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """numba's `njit`, cached on disk and without the GIL, typed."""
    return cast(Callable[P, R], numba.njit(cache=True, nogil=True)(function))


LF, CR, BLANK, HASH, DOT = 0x0A, 0x0D, 0x20, 0x23, 0x2E
ELLIPSIS_1, ELLIPSIS_2, ELLIPSIS_3 = "…".encode()
REPLACEMENT = 0xFFFD  # what bytes that are not UTF-8 count as
WORD = LETTER | MARK

_SIGNS = np.zeros(256, np.bool_)  # the bytes that `count_lines` looks at
_SIGNS[[LF, CR, HASH, DOT, ELLIPSIS_1]] = True

_LETTER_SHIFT = LETTER.bit_length() - 1
_HASH_FACTOR, _HASH_SEED = np.uint32(0x01000193), np.uint32(0x811C9DC5)  # FNV-1a, 32 bits


@kernel
def decode(data: np.ndarray, at: int, stop: int) -> tuple[int, int]:
    """The code point that begins at `at`, and where the next one begins, at most `stop`."""
    first: Any = np.int64(data[at])
    if first < 0x80:
        return first, at + 1
    width = 2 if first < 0xE0 else (3 if first < 0xF0 else 4)
    if at + width > stop:
        return REPLACEMENT, stop
    code = first & (0x7F >> width)
    for following in range(at + 1, at + width):
        code = code << 6 | (np.int64(data[following]) & 63)
    return (code if code <= 0x10FFFF else REPLACEMENT), at + width


@kernel
def count_words(
    offsets: np.ndarray, data: np.ndarray, flags: np.ndarray, counts: np.ndarray
) -> None:
    """Code points; words; code points in words; words with a letter.

    Without a branch per character: a word begins where a code point is not space and the one before
    is, and counts as one with a letter where it ends.
    """
    for row in range(len(offsets) - 1):
        at, stop = offsets[row], offsets[row + 1]
        num_chars = stop - at
        num_spaces = num_words = num_alpha_words = has_letter = 0
        before = 1
        while at < stop:
            code: Any = np.int64(data[at])
            if code < 0x80:
                at += 1
            else:
                num_chars += at + 1
                code, at = decode(data, at, stop)
                num_chars -= at
            flag: Any = np.int64(flags[code])
            space = flag & SPACE
            num_spaces += space
            num_words += before & ~space
            num_alpha_words += has_letter & space
            has_letter = (has_letter | (flag & LETTER) >> _LETTER_SHIFT) & ~space
            before = space
        counts[0, row] = num_chars
        counts[1, row] = num_words
        counts[2, row] = num_chars - num_spaces
        counts[3, row] = num_alpha_words + has_letter


@kernel
def count_lines(
    offsets: np.ndarray, data: np.ndarray, flags: np.ndarray, counts: np.ndarray
) -> None:
    """Lines; lines that begin with a bullet; that end with an ellipsis; hash signs; ellipses.

    A line ends at LF, CR, CR LF or the end of the text. An ellipsis is "…" or three dots (of a run
    of dots, each third). Most bytes are passed over after one look at `_SIGNS`.
    """
    for row in range(len(offsets) - 1):
        start, stop = offsets[row], offsets[row + 1]
        num_lines = num_bullets = num_ends = num_hashes = num_ellipses = 0
        at = start
        while at < stop:
            byte = data[at]
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
                num_bullets += _begins_with_bullet(data, start, at, flags)
                num_ends += _ends_with_ellipsis(data, start, at, flags)
                at += 2 if byte == CR and at + 1 < stop and data[at + 1] == LF else 1
                start = at
        if start < stop:
            num_lines += 1
            num_bullets += _begins_with_bullet(data, start, stop, flags)
            num_ends += _ends_with_ellipsis(data, start, stop, flags)
        counts[0, row] = num_lines
        counts[1, row] = num_bullets
        counts[2, row] = num_ends
        counts[3, row] = num_hashes
        counts[4, row] = num_ellipses


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
def _begins_with_bullet(data: np.ndarray, start: int, end: int, flags: np.ndarray) -> bool:
    at = start
    while at < end:
        code, at = decode(data, at, end)
        if not flags[code] & SPACE:
            return bool(flags[code] & BULLET)
    return False


@kernel
def _ends_with_ellipsis(data: np.ndarray, start: int, end: int, flags: np.ndarray) -> bool:
    while end > start:
        last = end - 1
        while last > start and data[last] & 0xC0 == 0x80:  # to the first byte of its code point
            last -= 1
        code, _ = decode(data, last, end)
        if not flags[code] & SPACE:
            return end - 3 >= start and _is_ellipsis(data, end - 3, end)
        end = last
    return False


@kernel
def hash_bytes(data: np.ndarray, start: int, stop: int) -> np.uint32:
    """FNV-1a, 32 bits, of bytes of which A to Z count as a to z."""
    value = _HASH_SEED
    for at in range(start, stop):
        value = np.uint32((value ^ np.uint32(_lower(data[at]))) * _HASH_FACTOR)
    return value


@kernel
def _lower(byte: int) -> int:
    return byte | 0x20 if 0x41 <= byte <= 0x5A else byte


@kernel
def count_distinct(
    offsets: np.ndarray,
    data: np.ndarray,
    flags: np.ndarray,
    word_offsets: np.ndarray,
    word_data: np.ndarray,
    slots: np.ndarray,
    begins: np.ndarray,
    counts: np.ndarray,
) -> None:
    """How many of the listed words each text has; a text's word is a run of letters and marks.

    `slots` and `begins` are of the list, as `index_words` fills them. Stops reading a text when it
    has met all of the list, in English prose within the first few thousand characters.
    """
    num_listed = len(word_offsets) - 1
    longest = np.max(np.diff(word_offsets)) if num_listed else 0
    last_row = np.full(num_listed, -1, np.int64)  # the text that had the word last
    for row in range(len(offsets) - 1):
        at, stop = offsets[row], offsets[row + 1]
        begin, num_met = at, 0
        while at < stop and num_met < num_listed:
            here = at
            code: Any = np.int64(data[at])
            if code < 0x80:
                at += 1
            else:
                code, at = decode(data, at, stop)
            if not flags[code] & WORD:
                if (here - begin <= longest) & begins[data[begin]]:
                    word = _find(data, begin, here, word_offsets, word_data, slots)
                    num_met += _is_new(word, row, last_row)
                begin = at
        if 0 < stop - begin <= longest:
            word = _find(data, begin, stop, word_offsets, word_data, slots)
            num_met += _is_new(word, row, last_row)
        counts[0, row] = num_met


@kernel
def _is_new(word: int, row: int, last_row: np.ndarray) -> bool:
    """Whether the word is listed and `row` has not met it before; from here on it has."""
    if word < 0 or last_row[word] == row:
        return False
    last_row[word] = row
    return True


@kernel
def index_words(
    word_offsets: np.ndarray, word_data: np.ndarray, slots: np.ndarray, begins: np.ndarray
) -> None:
    """Index words in lower case by their hash, and mark their first bytes in both cases.

    `slots` has over twice as many places as there are words and gets their numbers, -1 where free;
    `begins` is bool, 256.
    """
    slots[:] = -1
    for word in range(len(word_offsets) - 1):
        slot = hash_bytes(word_data, word_offsets[word], word_offsets[word + 1]) % len(slots)
        while slots[slot] >= 0:
            slot = (slot + 1) % len(slots)
        slots[slot] = word
        first = word_data[word_offsets[word]]
        begins[first] = True
        if 0x61 <= first <= 0x7A:
            begins[first - 0x20] = True


@kernel
def _find(
    data: np.ndarray,
    begin: int,
    end: int,
    word_offsets: np.ndarray,
    word_data: np.ndarray,
    slots: np.ndarray,
) -> int:
    """The number of the listed word that `data[begin:end]` is, or -1."""
    slot = hash_bytes(data, begin, end) % len(slots)
    while slots[slot] >= 0:
        word: int = slots[slot]
        start = word_offsets[word]
        same = word_offsets[word + 1] - start == end - begin
        at = 0
        while same and at < end - begin:
            same = _lower(data[begin + at]) == word_data[start + at]
            at += 1
        if same:
            return word
        slot = (slot + 1) % len(slots)
    return -1


@kernel
def sample_lines(
    offsets: np.ndarray,
    data: np.ndarray,
    flags: np.ndarray,
    max_chars: int,
    num_pieces: int,
    line_offsets: np.ndarray,
    lines: np.ndarray,
) -> None:
    """One line per text, ended by LF: all of it, or pieces spread evenly over a longer one.

    White space becomes single spaces. `lines` has room for `4 * max_chars + num_pieces + 1` bytes
    per text, or for the text and those where it is shorter.
    """
    out = line_offsets[0]
    for row in range(len(offsets) - 1):
        start, stop = offsets[row], offsets[row + 1]
        begin = out
        out, at = _copy(data, start, stop, flags, max_chars, lines, begin, begin)
        if at < stop:
            out = begin
            for piece in range(num_pieces):
                first = _boundary(data, start, stop, start + piece * (stop - start) // num_pieces)
                last = start + (piece + 1) * (stop - start) // num_pieces
                last = _boundary(data, start, stop, last)
                if out > begin and lines[out - 1] != BLANK:
                    lines[out] = BLANK
                    out += 1
                piece_chars = max_chars // num_pieces
                out, _ = _copy(data, first, last, flags, piece_chars, lines, begin, out)
        lines[out] = LF
        out += 1
        line_offsets[row + 1] = out


@kernel
def _boundary(data: np.ndarray, start: int, stop: int, at: int) -> int:
    """The first place from `at` on where a code point begins."""
    while start < at < stop and data[at] & 0xC0 == 0x80:
        at += 1
    return at


@kernel
def _copy(
    data: np.ndarray,
    at: int,
    stop: int,
    flags: np.ndarray,
    max_chars: int,
    lines: np.ndarray,
    begin: int,
    out: int,
) -> tuple[int, int]:
    """Copy up to `max_chars` code points; return where the line and the text go on.

    A space is copied only after something else: `begin` is where the line begins.
    """
    num_chars = 0
    while at < stop:
        here = at
        code, at = decode(data, here, stop)
        if flags[code] & SPACE:
            if out > begin and lines[out - 1] != BLANK:
                if num_chars == max_chars:
                    return out, here
                lines[out] = BLANK
                out += 1
                num_chars += 1
            continue
        if num_chars == max_chars:
            return out, here
        for source in range(here, at):
            lines[out] = data[source]
            out += 1
        num_chars += 1
    return out, at
