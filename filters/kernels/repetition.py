"""Compiled loops that count what a text repeats: lines, paragraphs, word n-grams.

Lines, paragraphs and words are known by a 64-bit hash. Two different ones of a text with k of them
share a hash with a probability of about k^2 / 2^65: below 3e-8 for a million different words, and
3e-14 for a thousand. Nothing is added to that by the n-grams: the places of a pair of hashes are
told apart by both, and those of a longer n-gram by where its two parts occurred first.

All scratch memory is taken once per call, for the longest text, and is used again for each. Tables
are open addressing over the smallest power of two that leaves half of it free, so that a short
text clears and touches little.
"""

from typing import Any

import numpy as np

from filters.kernels.compiled import kernel
from filters.kernels.text import IN_WORD, decode, word_step

FIRST_TOP, LAST_TOP, LAST_DUPLICATE = 2, 4, 10  # n of the n-grams that are counted

_SEED = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio, odd
_FACTOR = np.uint64(0xD6E8FEB86659FD93)  # odd, so that a product keeps all that went into it
_HALF, _BYTE, _ONE, _FULL = np.uint64(32), np.uint64(8), np.uint64(1), np.uint64(1 << 56)


@kernel
def count_repeated_ngrams(
    offsets: np.ndarray,
    data: np.ndarray,
    flags: np.ndarray,
    num_words: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Code points in the most frequent 2-, 3- and 4-gram; in duplicate 5- to 10-grams.

    An n-gram can only occur twice where both of its (n-1)-grams do. So each length looks only at
    the places that the one before has left, `live`, which soon are few; and it knows an n-gram by
    two numbers, the first places of those (n-1)-grams, `known`. `known` is -1 where a place is not
    live. `fresh` takes the numbers of the next length, and holds no other than -1 or those of live
    places.
    """
    room = np.max(num_words) + 1 if len(num_words) else 1
    hashes, ends = np.empty(room, np.uint64), np.empty(room, np.int32)
    known, fresh = np.empty(room, np.int32), np.empty(room, np.int32)
    live, times, free = (
        np.empty(room, np.int32),
        np.empty(room, np.int32),
        np.empty(room, np.int32),
    )
    slots = np.empty(1 << _num_bits(room), np.int32)
    for row in range(len(offsets) - 1):
        num = _hash_words(data, offsets[row], offsets[row + 1], flags, hashes, ends)
        known[: num + 1] = -1
        fresh[: num + 1] = -1
        num_live = _find_pairs(hashes, num, known, live, times, slots)
        counts[0, row] = _most_frequent(ends, known, live, num_live, FIRST_TOP, times, free)
        for size in range(FIRST_TOP + 1, LAST_DUPLICATE + 1):
            if num_live == 0:
                break
            num_live = _find_longer(known, fresh, live, num_live, times, slots)
            known, fresh = fresh, known
            if size <= LAST_TOP:
                found = _most_frequent(ends, known, live, num_live, size, times, free)
            else:
                found = _in_duplicates(ends, known, live, num_live, size)
            counts[size - FIRST_TOP, row] = found


@kernel
def _num_bits(num_keys: int) -> int:
    """Of the slots for so many keys, of which at least half stay free."""
    bits = 3
    while 1 << bits < 2 * num_keys:
        bits += 1
    return bits


@kernel
def _hash_words(
    data: np.ndarray, at: int, stop: int, flags: np.ndarray, hashes: np.ndarray, ends: np.ndarray
) -> int:
    """The number of words; their hashes, and code points in words up to their ends, from 1 on.

    Place 0 is before the first word. ASCII is hashed by seven: `block` begins at 1, which is above
    them and says how many there are. Other code points are hashed alone, after what is in `block`;
    so the hash depends on nothing but the word, and tells all words apart before they are mixed.
    """
    num_words = num_chars = alone = 0
    before = 1
    value, block = _SEED, _ONE
    ends[0] = 0
    while at < stop:
        byte = data[at]
        if byte < 0x80 and not alone:
            if IN_WORD[byte] == 255:
                before = 1
                at += 1
                continue
            if before:
                hashes[num_words], ends[num_words] = _mix(value, block), num_chars
                num_words += 1
                value, block = _SEED, _ONE
                before = 0
            num_chars -= at
            while True:
                block = block << _BYTE | np.uint64(byte)
                if block >= _FULL:
                    value, block = _mix(value, block), _ONE
                at += 1
                if at == stop:
                    break
                byte = data[at]
                if IN_WORD[byte] == 255:
                    break
            num_chars += at
            continue
        code, after = decode(data, at, stop)
        flag: Any = np.int64(flags[code])
        starts, alone, before = word_step(flag, before, alone)
        if starts:
            hashes[num_words], ends[num_words] = _mix(value, block), num_chars
            num_words += 1
            value, block = _SEED, _ONE
        if not before:
            num_chars += 1
            if code < 0x80:
                block = block << _BYTE | np.uint64(code)
            if code >= 0x80 or block >= _FULL:
                value, block = _mix(value, block), _ONE
            if code >= 0x80:
                value = _mix(value, np.uint64(code))
        at = after
    hashes[num_words], ends[num_words] = _mix(value, block), num_chars
    return num_words


@kernel
def _find_pairs(
    hashes: np.ndarray,
    num_words: int,
    known: np.ndarray,
    live: np.ndarray,
    times: np.ndarray,
    slots: np.ndarray,
) -> int:
    """Number the 2-grams by their first places; the places of those that occur again are live."""
    bits = _num_bits(num_words)
    slots[: 1 << bits] = -1
    last, shift = np.int64((1 << bits) - 1), np.uint64(64 - bits)
    for at in range(num_words - 1):
        left, right = hashes[at + 1], hashes[at + 2]
        slot = np.int64(((left * _SEED ^ right) * _FACTOR) >> shift)
        first: Any = slots[slot]
        while first >= 0 and not (hashes[first + 1] == left and hashes[first + 2] == right):
            slot = (slot + 1) & last
            first = slots[slot]
        if first < 0:
            slots[slot] = first = at
            times[at] = 0
        known[at] = first
        times[first] += 1
    num_live = 0
    for at in range(num_words - 1):
        live[num_live] = at
        again = times[known[at]] > 1
        num_live += again
        known[at] = known[at] if again else -1
    return num_live


@kernel
def _find_longer(
    known: np.ndarray,
    fresh: np.ndarray,
    live: np.ndarray,
    num_live: int,
    times: np.ndarray,
    slots: np.ndarray,
) -> int:
    """The same for n-grams of one word more; `known` has the numbers of those one word shorter."""
    bits = _num_bits(num_live)
    slots[: 1 << bits] = -1
    last, shift = np.int64((1 << bits) - 1), np.uint64(64 - bits)
    for index in range(num_live):
        at = live[index]
        left, right = known[at], known[at + 1]
        if right < 0:
            fresh[at] = -1
            continue
        slot = np.int64((np.uint64(left) * _SEED ^ np.uint64(right)) * _FACTOR >> shift)
        first: Any = slots[slot]
        while first >= 0 and not (known[first] == left and known[first + 1] == right):
            slot = (slot + 1) & last
            first = slots[slot]
        if first < 0:
            slots[slot] = first = at
            times[at] = 0
        fresh[at] = first
        times[first] += 1
    num_left = 0
    for index in range(num_live):
        at = live[index]
        first = fresh[at]
        if first >= 0 and times[first] > 1:
            live[num_left] = at
            num_left += 1
        else:
            known[at] = fresh[at] = -1
    return num_left


@kernel
def _most_frequent(
    ends: np.ndarray,
    known: np.ndarray,
    live: np.ndarray,
    num_live: int,
    size: int,
    times: np.ndarray,
    free: np.ndarray,
) -> int:
    """Code points in the n-gram that occurs most often, of those the longest; in all its places.

    A place that overlaps one that has been counted, as in "a a a", is not counted. 0 where no
    n-gram occurs twice.
    """
    most, longest = 1, 0
    for index in range(num_live):
        at = live[index]
        first = known[at]
        if first == at:
            times[at] = free[at] = 0
        if at >= free[first]:
            free[first] = at + size
            times[first] += 1
            num_times = times[first]
            if num_times >= most:
                num_chars = ends[at + size] - ends[at]
                if num_times > most or num_chars > longest:
                    most, longest = num_times, num_chars
    return most * longest if most > 1 else 0


@kernel
def _in_duplicates(
    ends: np.ndarray, known: np.ndarray, live: np.ndarray, num_live: int, size: int
) -> int:
    """Code points in n-grams that have occurred before, each once however many cover it."""
    num_chars = covered = 0
    for index in range(num_live):
        at = live[index]
        if known[at] != at:
            num_chars += ends[at + size] - ends[max(at, covered)]
            covered = at + size
    return num_chars


@kernel
def count_repeated_lines(
    data: np.ndarray,
    first_lines: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    num_chars: np.ndarray,
    opens: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Duplicate lines, code points in them; paragraphs; duplicate paragraphs, code points in them.

    A duplicate is one that has occurred before in the text. The lines are those of `list_lines`;
    paragraphs are equal where their lines are.
    """
    room = np.max(np.diff(first_lines)) + 1 if len(first_lines) > 1 else 1
    hashes = np.empty(room, np.uint64)
    paragraph_hashes, paragraph_chars = np.empty(room, np.uint64), np.empty(room, np.int32)
    slots = np.empty(1 << _num_bits(room), np.int32)
    for row in range(len(first_lines) - 1):
        first, last = first_lines[row], first_lines[row + 1]
        num_paragraphs = 0
        for line in range(first, last):
            value = _hash_bytes(data[begins[line] : ends[line]])
            hashes[line - first] = value
            if opens[line]:
                paragraph_hashes[num_paragraphs] = _SEED
                paragraph_chars[num_paragraphs] = 0
                num_paragraphs += 1
            place = num_paragraphs - 1
            paragraph_hashes[place] = _mix(paragraph_hashes[place], value)
            paragraph_chars[place] += num_chars[line]
        counts[0, row], counts[1, row] = _count_again(
            hashes, num_chars[first:last], last - first, slots
        )
        counts[2, row] = num_paragraphs
        counts[3, row], counts[4, row] = _count_again(
            paragraph_hashes, paragraph_chars, num_paragraphs, slots
        )


@kernel
def _count_again(
    hashes: np.ndarray, num_chars: np.ndarray, num_hashes: int, slots: np.ndarray
) -> tuple[int, int]:
    """How many hashes have occurred before, and the sum of their `num_chars`."""
    bits = _num_bits(num_hashes)
    slots[: 1 << bits] = -1
    last, shift = np.int64((1 << bits) - 1), np.uint64(64 - bits)
    num_again = num_again_chars = 0
    for at in range(num_hashes):
        value = hashes[at]
        slot = np.int64(value >> shift)
        while slots[slot] >= 0 and hashes[slots[slot]] != value:
            slot = (slot + 1) & last
        if slots[slot] < 0:
            slots[slot] = at
        else:
            num_again += 1
            num_again_chars += num_chars[at]
    return num_again, num_again_chars


@kernel
def _hash_bytes(piece: np.ndarray) -> np.uint64:
    """64 bits of hash, by eight bytes at a time."""
    num_bytes = len(piece)
    value = np.uint64(num_bytes)
    whole = num_bytes - num_bytes % 8
    for at in range(0, whole, 8):
        block = np.uint64(0)
        for place in range(8):
            block |= np.uint64(piece[at + place]) << np.uint64(8 * place)
        value = _mix(value, block)
    rest = np.uint64(0)
    for at in range(whole, num_bytes):
        rest = rest << _BYTE | np.uint64(piece[at])
    return _mix(value, rest)


@kernel
def _mix(value: np.uint64, block: np.uint64) -> np.uint64:
    """A step of a hash: for any block another value leads to another one, and the reverse."""
    value = (value ^ block) * _FACTOR
    return value ^ value >> _HALF
