"""Compiled loops over texts: words with their places, lines and paragraphs, repeats.

Words are those of `pipeline.dedup.words`, but their hashes are of no use outside of this pass.
Decoding and mixing stand here again, because numba's on-disk cache watches only the file of the
outermost kernel: what it calls in another file would go stale unseen.

In numba, int64 with uint64 is float64: every constant below is a uint64.
"""

from typing import TypeAlias

import numpy as np

from filters.kernels.compiled import kernel
from pipeline.dedup.words import ALONE, IGNORED, NUM_CODE_POINTS, SEPARATOR

Index: TypeAlias = int | np.int64

# Odd constants with evenly spread bits: 2^64 / golden ratio, xxHash's primes, MurmurHash3's.
_WORD_FACTOR, _WORD_SEED = np.uint64(0x9E3779B97F4A7C15), np.uint64(0x165667B19E3779F9)
_WINDOW_FACTOR, _UNIT_FACTOR = np.uint64(0x9E3779B185EBCA87), np.uint64(0xC2B2AE3D27D4EB4F)
_SHIFT = np.uint64(33)
_MURMUR_1, _MURMUR_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_ALONE, _IGNORED, _SEPARATOR = np.uint32(ALONE), np.uint32(IGNORED), np.uint32(SEPARATOR)
_SIX, _LOW_SIX, _ONE, _NONE = np.uint64(6), np.uint64(63), np.uint64(1), np.uint64(0)
_LF, _SPACE = 10, 32
_MIN_SLOTS = 1 << 10  # a power of 2


@kernel
def _mix(value: np.uint64) -> np.uint64:
    """MurmurHash3's 64-bit finaliser."""
    value = (value ^ (value >> _SHIFT)) * _MURMUR_1
    value = (value ^ (value >> _SHIFT)) * _MURMUR_2
    return value ^ (value >> _SHIFT)


@kernel
def folded_at(data: np.ndarray, at: Index, table: np.ndarray) -> tuple[np.uint32, Index]:
    """The table's entry of the code point at `at`, and where the next one begins."""
    first = np.int64(data[at])
    if first < 0x80:
        return table[first], at + 1
    second = np.int64(data[at + 1]) & 63
    if first < 0xE0:
        return table[(first & 31) << 6 | second], at + 2
    third = np.int64(data[at + 2]) & 63
    if first < 0xF0:
        return table[(first & 15) << 12 | second << 6 | third], at + 3
    point = (first & 7) << 18 | second << 12 | third << 6 | (np.int64(data[at + 3]) & 63)
    return (table[point] if point < NUM_CODE_POINTS else _SEPARATOR), at + 4


@kernel
def words_of(
    data: np.ndarray,
    start: Index,
    stop: Index,
    table: np.ndarray,
    hashes: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
) -> Index:
    """Hash and bytes of each word of data[start:stop], which is valid UTF-8; how many."""
    num, inside, state, at = 0, False, _WORD_SEED, start
    while at < stop:
        begin = at
        folded, at = folded_at(data, at, table)
        if folded == _IGNORED:
            continue
        alone = folded >= _ALONE
        if inside and (alone or folded == _SEPARATOR):
            hashes[num] = _mix(state)
            num, inside, state = num + 1, False, _WORD_SEED
        if folded == _SEPARATOR:
            continue
        if not inside:
            starts[num] = begin
        stops[num] = at
        if alone:
            hashes[num] = _mix((_WORD_SEED ^ np.uint64(folded)) * _WORD_FACTOR)
            num += 1
        else:
            state = (state ^ np.uint64(folded)) * _WORD_FACTOR
            inside = True
    if inside:
        hashes[num] = _mix(state)
        num += 1
    return num


@kernel
def is_blank(byte: np.uint8) -> bool:
    return bool(byte == _SPACE or (byte >= 9 and byte <= 13))


@kernel
def _line_end(data: np.ndarray, at: Index, stop: Index) -> Index:
    while at < stop and data[at] != _LF:
        at += 1
    return at


@kernel
def _is_blank_line(data: np.ndarray, at: Index, end: Index) -> bool:
    while at < end and is_blank(data[at]):
        at += 1
    return at == end


@kernel
def _unit(data: np.ndarray, at: Index, stop: Index, paragraphs: bool) -> tuple[Index, Index, Index]:
    """Start and end of the line or paragraph from `at` on, and where to go on."""
    end = _line_end(data, at, stop)
    if not paragraphs:
        return at, end, end + 1
    while end < stop and _is_blank_line(data, at, end):
        at = end + 1
        end = _line_end(data, at, stop)
    start, last = at, end
    while end < stop:
        at = end + 1
        end = _line_end(data, at, stop)
        if _is_blank_line(data, at, end):
            break
        last = end
    return start, last, end + 1


@kernel
def find_units(
    data: np.ndarray,
    bounds: np.ndarray,
    table: np.ndarray,
    min_words: int,
    paragraphs: bool,
    seed: np.uint64,
    hashes: np.ndarray,
    rows: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
) -> Index:
    """Lines or paragraphs of at least `min_words` words: hash, text, bytes within it; how many."""
    longest = np.int64(0)
    for i in range(len(bounds) - 1):
        longest = max(longest, np.int64(bounds[i + 1]) - np.int64(bounds[i]))
    words = np.empty(longest // 2 + 1, np.uint64)
    begins, ends = np.empty(longest // 2 + 1, np.int64), np.empty(longest // 2 + 1, np.int64)
    num = 0
    for i in range(len(bounds) - 1):
        first, last = np.int64(bounds[i]), np.int64(bounds[i + 1])
        at: Index = first
        while at < last:
            start, stop, at = _unit(data, at, last, paragraphs)
            num_words = words_of(data, start, stop, table, words, begins, ends)
            if num_words < min_words:
                continue
            state = seed ^ np.uint64(num_words)
            for word in words[:num_words]:
                state = _mix(state ^ word) * _UNIT_FACTOR
            hashes[num], rows[num] = _mix(state), i
            starts[num], stops[num] = start - first, stop - first
            num += 1
    return num


@kernel
def _windows(words: np.ndarray, num_words: Index, width: int) -> Index:
    """Replace the hashes of words by those of the windows that begin there; how many."""
    num = num_words - width + 1
    if num <= 0:
        return 0
    state, leading = _NONE, _ONE
    for word in words[: width - 1]:
        state = (state + word) * _WINDOW_FACTOR
        leading *= _WINDOW_FACTOR
    for i in range(num):
        first = words[i]
        state += words[i + width - 1]
        words[i] = _mix(state)
        state = (state - first * leading) * _WINDOW_FACTOR
    return num


@kernel
def _has(bits: np.ndarray, value: np.uint64, shift: np.uint64) -> bool:
    place = value >> shift
    return bool((bits[place >> _SIX] >> (place & _LOW_SIX)) & _ONE != _NONE)


@kernel
def _set(bits: np.ndarray, value: np.uint64, shift: np.uint64) -> None:
    place = value >> shift
    bits[place >> _SIX] |= _ONE << (place & _LOW_SIX)


@kernel
def _slot(slots: np.ndarray, value: np.uint64, mask: np.uint64) -> np.uint64:
    """Where the value stands in the table, or the free place (0) where it would."""
    at = (value * _UNIT_FACTOR) >> np.uint64(20) & mask
    while slots[at] != _NONE and slots[at] != value:
        at = (at + _ONE) & mask
    return at


@kernel
def _doubled(slots: np.ndarray) -> np.ndarray:
    """A table of twice the size with the same values."""
    more = np.zeros(2 * len(slots), np.uint64)
    mask = np.uint64(len(more) - 1)
    for value in slots:
        if value != _NONE:
            more[_slot(more, value, mask)] = value
    return more


@kernel
def _maybe_twice(
    data: np.ndarray,
    bounds: np.ndarray,
    order: np.ndarray,
    table: np.ndarray,
    width: int,
    shift: np.uint64,
    once: np.ndarray,
    twice: np.ndarray,
    words: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
) -> None:
    """Mark the windows that may stand twice: those whose bit was set before."""
    for text in order:
        num = words_of(data, bounds[text], bounds[text + 1], table, words, starts, stops)
        for window in words[: _windows(words, num, width)]:
            if _has(once, window, shift):
                _set(twice, window, shift)
            else:
                _set(once, window, shift)


@kernel
def find_repeats(
    data: np.ndarray,
    bounds: np.ndarray,
    order: np.ndarray,
    table: np.ndarray,
    width: int,
    shift: np.uint64,
    rows: np.ndarray,
    firsts: np.ndarray,
    lasts: np.ndarray,
) -> Index:
    """Spans of words that repeat what stands before them, in this order of texts; how many.

    Windows go by from the first text of `order` to the last. One stands when none of its words is
    cut, and from then on every equal one is cut. So what is cut stands whole elsewhere.
    """
    longest = np.int64(0)
    for i in range(len(bounds) - 1):
        longest = max(longest, bounds[i + 1] - bounds[i])
    words = np.empty(longest // 2 + 1, np.uint64)
    starts, stops = np.empty(longest // 2 + 1, np.int64), np.empty(longest // 2 + 1, np.int64)
    num_blocks = (np.int64(1) << np.int64(np.uint64(64) - shift)) // 64
    once, twice = np.zeros(num_blocks, np.uint64), np.zeros(num_blocks, np.uint64)
    _maybe_twice(data, bounds, order, table, width, shift, once, twice, words, starts, stops)
    slots, used = np.zeros(_MIN_SLOTS, np.uint64), 0
    mask = np.uint64(len(slots) - 1)
    found = 0
    for text in order:
        begin, end = bounds[text], bounds[text + 1]
        num = words_of(data, begin, end, table, words, starts, stops)
        num_windows = _windows(words, num, width)
        cut_to, kept, first = 0, 0, -1  # words first:cut_to are cut; `kept` in a row are not
        for i in range(num if num_windows > 0 else 0):
            if i < num_windows and _has(twice, words[i], shift):
                value = words[i] | _ONE  # 0 is a free place
                if slots[_slot(slots, value, mask)] == value:
                    first = i if first < 0 else first
                    cut_to = i + width
            if i < cut_to:
                kept = 0
                continue
            if first >= 0:
                rows[found], firsts[found] = text, starts[first] - begin
                lasts[found] = _glued(data, stops[i - 1], starts[i]) - begin
                found, first = found + 1, -1
            kept += 1
            if kept >= width and _has(twice, words[i - width + 1], shift):
                value = words[i - width + 1] | _ONE
                slots[_slot(slots, value, mask)] = value
                used += 1
                if 2 * used > len(slots):
                    slots = _doubled(slots)
                    mask = np.uint64(len(slots) - 1)
        if first >= 0:
            rows[found], firsts[found] = text, starts[first] - begin
            lasts[found] = _glued(data, stops[num - 1], end) - begin
            found += 1
    return found


@kernel
def _glued(data: np.ndarray, at: Index, end: Index) -> Index:
    """The end of what hangs on a word without white space: its full stop or bracket."""
    while at < end and not is_blank(data[at]):
        at += 1
    return at
