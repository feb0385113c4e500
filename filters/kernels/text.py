"""Compiled loops over the bytes of texts: words, lines, symbols, stop words, samples.

All take Arrow's layout: row r is `data[offsets[r]:offsets[r + 1]]`, valid UTF-8, and write into
`counts`, int32 with a row per count and a column per text. None looks at a byte outside its row.

Kernels that call each other stand in one file, because numba's on-disk cache watches only the file
of the outermost one: a change elsewhere would leave stale machine code in use.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba
import numpy as np

from filters.kernels.characters import LETTER, MARK, SPACE

P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """numba's `njit`, cached on disk and without the GIL, typed."""
    return cast(Callable[P, R], numba.njit(cache=True, nogil=True)(function))


LF, CR, BLANK, HASH, DOT = 0x0A, 0x0D, 0x20, 0x23, 0x2E
ELLIPSIS = 0x2026
REPLACEMENT = 0xFFFD  # what bytes that are not UTF-8 count as
WORD = LETTER | MARK

_LETTER_SHIFT = LETTER.bit_length() - 1
_HASH_FACTOR, _HASH_SEED = np.uint32(0x01000193), np.uint32(0x811C9DC5)  # FNV-1a, 32 bits


@kernel
def decode(data: np.ndarray, at: int, stop: int) -> tuple[int, int]:
    """The code point that begins at `at`, and where the next one begins, at most `stop`."""
    first = np.int64(data[at])
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
    is, and has its first letter where none was in it before.
    """
    for row in range(len(offsets) - 1):
        at, stop = offsets[row], offsets[row + 1]
        num_chars = num_words = num_word_chars = num_alpha_words = 0
        in_word = has_letter = 0
        while at < stop:
            code = np.int64(data[at])
            if code < 0x80:
                at += 1
            else:
                code, at = decode(data, at, stop)
            flag = np.int64(flags[code])
            word = 1 - (flag & SPACE)
            letter = (flag & LETTER) >> _LETTER_SHIFT
            num_chars += 1
            num_word_chars += word
            num_words += word & (1 - in_word)
            num_alpha_words += letter & (1 - has_letter)
            has_letter = word & (has_letter | letter)
            in_word = word
        counts[0, row] = num_chars
        counts[1, row] = num_words
        counts[2, row] = num_word_chars
        counts[3, row] = num_alpha_words


@kernel
def count_symbols(offsets: np.ndarray, data: np.ndarray, counts: np.ndarray) -> None:
    """Hash signs; ellipses, which are "…" or three dots (of a run of dots, each third)."""
    for row in range(len(offsets) - 1):
        num_hashes = num_ellipses = num_dots = 0
        for at in range(offsets[row], offsets[row + 1]):
            byte = data[at]
            if byte == DOT:
                num_dots += 1
                if num_dots == 3:
                    num_ellipses += 1
                    num_dots = 0
            else:
                num_dots = 0
                num_hashes += byte == HASH
                num_ellipses += byte == 0xA6 and _is_ellipsis(data, at - 2, offsets[row])
        counts[0, row] = num_hashes
        counts[1, row] = num_ellipses


@kernel
def _is_ellipsis(data: np.ndarray, at: int, start: int) -> bool:
    """Whether the three bytes at `at` are "…"; its last byte is known to be right."""
    return at >= start and data[at] == 0xE2 and data[at + 1] == 0x80


@kernel
def count_lines(
    offsets: np.ndarray,
    data: np.ndarray,
    flags: np.ndarray,
    bullets: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Lines; lines that begin with one of `bullets`; lines that end with an ellipsis.

    A line ends at LF, CR, CR LF or the end of the text; white space around it is passed over.
    """
    for row in range(len(offsets) - 1):
        start, stop = offsets[row], offsets[row + 1]
        num_lines = num_bullets = num_ellipses = 0
        while start < stop:
            end = start
            while end < stop and data[end] != LF and data[end] != CR:
                end += 1
            num_lines += 1
            num_bullets += _begins_with(data, start, end, flags, bullets)
            num_ellipses += _ends_with_ellipsis(data, start, end, flags)
            both = end + 1 < stop and data[end] == CR and data[end + 1] == LF
            start = end + (2 if both else 1)
        counts[0, row] = num_lines
        counts[1, row] = num_bullets
        counts[2, row] = num_ellipses


@kernel
def _begins_with(
    data: np.ndarray, start: int, end: int, flags: np.ndarray, bullets: np.ndarray
) -> bool:
    at = start
    while at < end:
        code, at = decode(data, at, end)
        if not flags[code] & SPACE:
            for bullet in bullets:
                if code == bullet:
                    return True
            return False
    return False


@kernel
def _ends_with_ellipsis(data: np.ndarray, start: int, end: int, flags: np.ndarray) -> bool:
    while end > start:
        last = end - 1
        while last > start and data[last] & 0xC0 == 0x80:  # to the first byte of its code point
            last -= 1
        code, _ = decode(data, last, end)
        if not flags[code] & SPACE:
            dots = last - 2 >= start and data[last - 2] == DOT and data[last - 1] == DOT
            return code == ELLIPSIS or (code == DOT and dots)
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
