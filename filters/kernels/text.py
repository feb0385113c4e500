"""Compiled loops over the bytes of texts: words, stop words, samples.

All take Arrow's layout: row r is `data[offsets[r]:offsets[r + 1]]`, valid UTF-8, and write into
`counts`, int32 with a row per count and a column per text. None looks at a byte outside its row.

Kernels that call each other stand in one file, because numba's on-disk cache watches only the file
of the outermost one: a change elsewhere would leave stale machine code in use.
"""

from typing import Any

import numpy as np

from filters.kernels.characters import ALONE, LETTER, MARK, NUMBER, SPACE, WHITE_SPACE
from filters.kernels.compiled import kernel

LF, CR, BLANK = 0x0A, 0x0D, 0x20
REPLACEMENT = 0xFFFD  # what bytes that are not UTF-8 count as
WORD = LETTER | MARK

# Of the bytes that are ASCII and not white space: whether they are letters. 255 ends a run of them.
IN_WORD = np.full(256, 255, np.uint8)
IN_WORD[[byte for byte in range(0x80) if byte not in WHITE_SPACE]] = 0
IN_WORD[[byte for byte in range(0x80) if chr(byte).isalpha()]] = 1

_LETTER_SHIFT, _NUMBER_SHIFT = LETTER.bit_length() - 1, NUMBER.bit_length() - 1
_ALONE_SHIFT = ALONE.bit_length() - 1
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

    A word counts as one with a letter where it ends: at space, where another starts, at the end.
    """
    for row in range(len(offsets) - 1):
        at, stop = offsets[row], offsets[row + 1]
        num_chars = num_word_chars = num_words = num_alpha_words = has_letter = alone = 0
        before = 1
        while at < stop:
            byte = data[at]
            if byte < 0x80 and not alone:
                here = at
                kind = IN_WORD[byte]
                if kind == 255:
                    num_alpha_words += has_letter
                    has_letter, before = 0, 1
                    num_chars += 1
                    at += 1
                    continue
                num_words += before
                before = 0
                while kind != 255:
                    has_letter |= kind
                    at += 1
                    if at == stop:
                        break
                    kind = IN_WORD[data[at]]
                num_chars += at - here
                num_word_chars += at - here
                continue
            code, at = decode(data, at, stop)
            flag: Any = np.int64(flags[code])
            starts, alone, before = word_step(flag, before, alone)
            num_chars += 1
            num_word_chars += 1 - before
            num_words += starts
            num_alpha_words += has_letter & (starts | before)
            has_letter = has_letter & ~(starts | before) | (flag & LETTER) >> _LETTER_SHIFT
        counts[0, row] = num_chars
        counts[1, row] = num_words
        counts[2, row] = num_word_chars
        counts[3, row] = num_alpha_words + has_letter


@kernel
def word_step(flag: int, before: int, alone: int) -> tuple[int, int, int]:
    """Whether a code point starts a word; whether that is one of a single letter; if it is space.

    All are 0 or 1, and without a branch. `before` is whether the code point before was space (1 at
    the start of a text), `alone` what the last step returned, 0 at first. A word starts after
    space; with each letter that stands alone; and after such a one with a letter or a number.
    """
    space = flag & SPACE
    one = flag >> _ALONE_SHIFT & 1
    alphanumeric = (flag >> _LETTER_SHIFT | flag >> _NUMBER_SHIFT) & 1
    starts = before & ~space | one | alone & alphanumeric
    return starts, one | alone & ~(space | starts), space


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
