"""Compiled loops over the hashes of words: n-grams, where those of a set stand, whose they are.

Kernels that call each other stand in one file (see `pipeline.dedup.kernels`). They take the hashes
of words, which are 64 random-like bits, so an n-gram's hash is a plain polynomial in them modulo
2^64: among n distinct n-grams of a set and m of a corpus, one is taken for another with odds of
n * m / 2^64 (10^6 and 10^12: 0.05).

In numba, int64 with uint64 is float64: every constant below is a uint64.
"""

import numpy as np

from filters.kernels.compiled import kernel

NGRAM_FACTOR = np.uint64(0x9E3779B185EBCA87)  # odd: prime 1 of xxHash's XXH64 (Collet)
_ONE, _LOW_BITS = np.uint64(1), np.uint64(63)
_SECOND, _THIRD = np.uint64(6), np.uint64(12)


@kernel
def power(exponent: int) -> np.uint64:
    """NGRAM_FACTOR to this power, modulo 2^64."""
    value = _ONE
    for _ in range(exponent):
        value *= NGRAM_FACTOR
    return value


@kernel
def hash_ngrams(
    words: np.ndarray, offsets: np.ndarray, lengths: np.ndarray, out: np.ndarray, ends: np.ndarray
) -> None:
    """The hashes of the n-grams of each text, `lengths` words each, end to end; fills `ends`.

    A text of length 0 has none.
    """
    used = 0
    for row in range(len(lengths)):
        length, state, factor = lengths[row], np.uint64(0), power(lengths[row])
        for i in range(offsets[row], offsets[row + 1]):
            if length == 0:
                break
            state = state * NGRAM_FACTOR + words[i]
            if i - offsets[row] >= length:
                state -= words[i - length] * factor
            if i - offsets[row] >= length - 1:
                out[used] = state
                used += 1
        ends[row + 1] = used


@kernel
def filter_bits(value: np.uint64) -> np.uint64:
    """Three of 64 bits by a hash's low bits: where in the filter they stand, its high bits tell."""
    first, second = value & _LOW_BITS, (value >> _SECOND) & _LOW_BITS
    return _ONE << first | _ONE << second | _ONE << ((value >> _THIRD) & _LOW_BITS)


@kernel
def fill_filter(hashes: np.ndarray, shift: np.uint64, bits: np.ndarray) -> None:
    """A Bloom filter (1970) in blocks of 64 bits, so that a look is one access to memory."""
    for value in hashes:
        bits[value >> shift] |= filter_bits(value)


@kernel
def place_of(hashes: np.ndarray, value: np.uint64) -> int:
    """Where a value stands among sorted ones, or -1."""
    low, high = 0, len(hashes)
    while low < high:
        middle = (low + high) // 2
        if hashes[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low if low < len(hashes) and hashes[low] == value else -1


@kernel
def find_ngrams(
    words: np.ndarray,
    offsets: np.ndarray,
    lengths: np.ndarray,
    bits: np.ndarray,
    shift: np.uint64,
    hashes: np.ndarray,
    hits: np.ndarray,
) -> int:
    """Find the n-grams of texts among `hashes`; how many there are, also beyond the room in `hits`.

    `hits` (capacity, 4) int64: the text, its first word there, the number of words, the n-gram's
    place in `hashes`; ordered by text, then number of words, then word. A common miss costs one
    look into `bits`.
    """
    num_hits = 0
    for row in range(len(offsets) - 1):
        start, stop = offsets[row], offsets[row + 1]
        for length in lengths:
            if stop - start < length:
                continue
            state, factor = np.uint64(0), power(length)
            for i in range(start, start + length - 1):
                state = state * NGRAM_FACTOR + words[i]
            oldest = np.uint64(0)
            for i in range(start, stop - length + 1):
                state = state * NGRAM_FACTOR + words[i + length - 1] - oldest * factor
                oldest = words[i]
                wanted = filter_bits(state)
                if bits[state >> shift] & wanted != wanted:
                    continue
                place = place_of(hashes, state)
                if place >= 0:
                    if num_hits < len(hits):
                        hits[num_hits, 0] = row
                        hits[num_hits, 1] = i - start
                        hits[num_hits, 2] = length
                        hits[num_hits, 3] = place
                    num_hits += 1
    return num_hits


@kernel
def score(
    hits: np.ndarray,
    posting_offsets: np.ndarray,
    postings: np.ndarray,
    set_of: np.ndarray,
    item_of: np.ndarray,
    num_ngrams_of: np.ndarray,
    min_overlap: np.ndarray,
    num_ngrams: np.ndarray,
    overlap: np.ndarray,
    best: np.ndarray,
    matches: np.ndarray,
    is_matching: np.ndarray,
) -> int:
    """Whose n-grams the hits are; returns how many of `matches` were filled.

    Per text and set: `num_ngrams`, distinct ones; `overlap`, the largest part of the n-grams of one
    passage, which is `best`, the first of those with the most n-grams. `matches` (capacity, 3)
    int64: text, set and item of each item with a passage of at least `min_overlap`. `is_matching`:
    (hits, sets) whether the n-gram of a hit is of such a passage of the set.
    """
    counts = np.zeros(len(set_of), np.int32)
    touched = np.empty(len(set_of), np.int64)
    num_matches, first = 0, 0
    while first < len(hits):
        row, last = hits[first, 0], first
        while last < len(hits) and hits[last, 0] == row:
            last += 1
        num_touched = 0
        places = hits[first:last, 3].copy()
        places.sort()
        for i in range(len(places)):
            if i > 0 and places[i] == places[i - 1]:
                continue
            last_set = -1
            for passage in postings[posting_offsets[places[i]] : posting_offsets[places[i] + 1]]:
                if counts[passage] == 0:
                    touched[num_touched] = passage
                    num_touched += 1
                counts[passage] += 1
                if set_of[passage] != last_set:
                    last_set = set_of[passage]
                    num_ngrams[row, last_set] += 1
        passages = touched[:num_touched]
        passages.sort()
        num_before = num_matches
        for passage in passages:
            part = counts[passage] / num_ngrams_of[passage]
            number, item = set_of[passage], item_of[passage]
            leader = best[row, number]
            more = leader >= 0 and part == overlap[row, number] and counts[passage] > counts[leader]
            if leader < 0 or part > overlap[row, number] or more:
                best[row, number], overlap[row, number] = passage, part
            if part >= min_overlap[number]:
                known = (
                    num_matches > num_before
                    and matches[num_matches - 1, 1] == number
                    and matches[num_matches - 1, 2] == item
                )
                if not known:
                    matches[num_matches, 0] = row
                    matches[num_matches, 1] = number
                    matches[num_matches, 2] = item
                    num_matches += 1
        for hit in range(first, last):
            place = hits[hit, 3]
            for passage in postings[posting_offsets[place] : posting_offsets[place + 1]]:
                number = set_of[passage]
                if counts[passage] / num_ngrams_of[passage] >= min_overlap[number]:
                    is_matching[hit, number] = True
        counts[passages] = 0
        first = last
    return num_matches
