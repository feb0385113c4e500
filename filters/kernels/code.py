"""Compiled loops over source files: the shape of lines, letters and digits, what HTML shows.

As in `filters.kernels.text`: row r is `data[offsets[r]:offsets[r + 1]]`, valid UTF-8; `counts` is
int32 with a row per count and a column per text.
"""

import functools

import numpy as np

from filters.kernels.characters import LETTER, NUM_CODE_POINTS, character_flags
from filters.kernels.compiled import kernel
from filters.kernels.text import decode

ALPHABETIC, NUMERIC = 1, 2  # `str.isalpha`; `str.isalnum` and not alphabetic
_NUM_NUMBERED = 0x20000  # planes 0 and 1 hold every number that is no letter

LF, CR, BANG, QUOTE, HYPHEN, SLASH = 0x0A, 0x0D, 0x21, 0x22, 0x2D, 0x2F
APOSTROPHE, LESS, GREATER, QUESTION = 0x27, 0x3C, 0x3E, 0x3F
_SCRIPT = np.frombuffer(b"script", np.uint8)
_STYLE = np.frombuffer(b"style", np.uint8)


@functools.cache
def alphanumerics() -> np.ndarray:
    """ALPHABETIC or NUMERIC of each code point: uint8 (NUM_CODE_POINTS,). Takes 15 ms, once."""
    kinds = np.zeros(NUM_CODE_POINTS, np.uint8)
    kinds[:_NUM_NUMBERED] = [chr(point).isalnum() * NUMERIC for point in range(_NUM_NUMBERED)]
    kinds[character_flags() & LETTER != 0] = ALPHABETIC
    kinds.flags.writeable = False
    return kinds


@kernel
def count_code(
    offsets: np.ndarray, data: np.ndarray, kinds: np.ndarray, counts: np.ndarray
) -> None:
    """Lines; code points in them; in the longest; alphabetic ones; numeric ones.

    A line ends at LF, CR, CR LF or the end of the text, and these are not in it.
    """
    for row in range(len(offsets) - 1):
        at, stop = offsets[row], offsets[row + 1]
        num_lines = num_chars = longest = num_alphabetic = num_numeric = length = 0
        is_open = False
        while at < stop:
            byte = data[at]
            if byte in (LF, CR):
                at += 2 if byte == CR and at + 1 < stop and data[at + 1] == LF else 1
                num_lines += 1
                num_chars += length
                longest = max(longest, length)
                length = 0
                is_open = False
                continue
            code, at = decode(data, at, stop)
            kind = kinds[code]
            num_alphabetic += kind == ALPHABETIC
            num_numeric += kind == NUMERIC
            length += 1
            is_open = True
        counts[0, row] = num_lines + is_open
        counts[1, row] = num_chars + length
        counts[2, row] = max(longest, length)
        counts[3, row] = num_alphabetic
        counts[4, row] = num_numeric


@kernel
def count_visible(
    offsets: np.ndarray, data: np.ndarray, chosen: np.ndarray, counts: np.ndarray
) -> None:
    """Code points of HTML outside tags, comments, declarations, scripts and styles.

    0 where `chosen` is false. An entity counts as it is written; what is never closed hides all
    that follows.
    """
    for row in range(len(offsets) - 1):
        at, stop = offsets[row], offsets[row + 1]
        num_visible = 0
        while chosen[row] and at < stop:
            if data[at] == LESS and at + 1 < stop and _opens(data[at + 1]):
                at = _after_tag(data, at, stop)
            else:
                num_visible += data[at] & 0xC0 != 0x80
                at += 1
        counts[0, row] = num_visible


@kernel
def _opens(byte: int) -> bool:
    """Whether "<" and this byte begin a tag, a comment or a declaration."""
    return byte in (SLASH, BANG, QUESTION) or 0x61 <= byte | 0x20 <= 0x7A


@kernel
def _after_tag(data: np.ndarray, at: int, stop: int) -> int:
    """Where the text goes on after the tag at `at`, and after what it hides."""
    if at + 3 < stop and data[at + 1] == BANG and data[at + 2] == data[at + 3] == HYPHEN:
        return _after_comment(data, at + 4, stop)
    end = _after_angle(data, at, stop)
    for name in (_SCRIPT, _STYLE):
        if _is_name(data, at + 1, stop, name):
            while end < stop and not _closes(data, end, stop, name):
                end += 1
            return _after_angle(data, end, stop)
    return end


@kernel
def _closes(data: np.ndarray, at: int, stop: int, name: np.ndarray) -> bool:
    """Whether the closing tag of this name stands here."""
    if at + 1 >= stop or data[at] != LESS or data[at + 1] != SLASH:
        return False
    return _is_name(data, at + 2, stop, name)


@kernel
def _after_comment(data: np.ndarray, at: int, stop: int) -> int:
    while at + 2 < stop:
        if data[at] == HYPHEN and data[at + 1] == HYPHEN and data[at + 2] == GREATER:
            return at + 3
        at += 1
    return stop


@kernel
def _after_angle(data: np.ndarray, at: int, stop: int) -> int:
    """After the next ">" that is in no quoted attribute."""
    quote = 0
    while at < stop:
        byte = data[at]
        at += 1
        if quote:
            if byte == quote:
                quote = 0
        elif byte in (QUOTE, APOSTROPHE):
            quote = byte
        elif byte == GREATER:
            return at
    return stop


@kernel
def _is_name(data: np.ndarray, at: int, stop: int, name: np.ndarray) -> bool:
    """Whether a tag's name stands here, in any case, and ends."""
    if at + len(name) > stop:
        return False
    for place in range(len(name)):
        if data[at + place] | 0x20 != name[place]:
            return False
    end = at + len(name)
    return end == stop or not 0x61 <= data[end] | 0x20 <= 0x7A
