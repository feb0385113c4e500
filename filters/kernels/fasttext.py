"""Compiled inference of fastText classifiers: the vectors of lines; `labels` has what follows.

After fastText 0.9.2 (Joulin et al. 2016, arXiv:1607.01759 and arXiv:1612.03651): a line is the mean
of the vectors of its words, of their character n-grams within "<word>", and of its word n-grams.

Kernels that call each other stand in one file, because numba's on-disk cache watches only the file
of the outermost one.
"""

from typing import Any, NamedTuple

import numpy as np

from filters.kernels.compiled import kernel

LINE_END = b"</s>"  # the word that fastText reads at the end of a line
LABEL_PREFIX = b"__label__"  # a word that begins so is a label, which is no part of the text
_LINE_END = np.frombuffer(LINE_END, np.uint8)
_LABEL_PREFIX = np.frombuffer(LABEL_PREFIX, np.uint8)
_FIRST, _LAST = 0x3C, 0x3E  # "<" and ">", around a word when its n-grams are taken

_SPACES = np.zeros(256, np.bool_)  # what separates words
_SPACES[list(b" \n\r\t\v\f\0")] = True

_HASH_FACTOR, _HASH_SEED = np.uint32(0x01000193), np.uint32(0x811C9DC5)  # FNV-1a, 32 bits
_NGRAM_FACTOR = np.uint64(116049371)
_MEMORY_BYTES = 1 << 20  # of the sums that a call remembers: they should fit a core's cache


class Dictionary(NamedTuple):
    """What turns words into rows of the input matrix.

    Word w, one of `num_words`, is `data[starts[w]:stops[w]]` and has row w. `slots` index the words
    by their hashes, -1 where free. The n-gram of bucket b has row `num_words + b`; where `rows` is
    not empty, row `num_words + rows[b]`, and none unless the bit b of `kept` is set. The bits are
    looked at first: of lid.176, which keeps 2 % of 2 million buckets, they fit the cache of a core.
    """

    data: np.ndarray  # uint8
    starts: np.ndarray  # int64
    stops: np.ndarray  # int64
    slots: np.ndarray  # int32
    rows: np.ndarray  # int32
    kept: np.ndarray  # uint8: a bit per bucket, the lowest first
    num_words: int
    num_buckets: int
    min_chars: int  # of an n-gram in a word
    max_chars: int  # 0: no n-grams in words
    max_words: int  # of a word n-gram


@kernel
def scan_words(
    data: np.ndarray, at: int, starts: np.ndarray, stops: np.ndarray, counts: np.ndarray
) -> int:
    """Find the words of a model file from `at` on: text, 0, count int64, type int8; return its end.

    The counts are of the eight bytes before each word's type; -1 where the file ends too early.
    """
    for word in range(len(starts)):
        starts[word] = at
        while at < len(data) and data[at]:
            at += 1
        stops[word] = at
        at += 1 + 8 + 1
        if at > len(data):
            return -1
        count: Any = np.int64(0)
        for byte in range(8):
            count |= np.int64(data[at - 9 + byte]) << (8 * byte)
        counts[word] = count
    return at


@kernel
def index_words(data: np.ndarray, starts: np.ndarray, stops: np.ndarray, slots: np.ndarray) -> None:
    """Index words by their hashes: `slots`, a power of 2 of them, get their numbers, else -1."""
    slots[:] = -1
    for word in range(len(starts)):
        value = _HASH_SEED
        for at in range(starts[word], stops[word]):
            value = _mix(value, data[at])
        slot = value & (len(slots) - 1)
        while slots[slot] >= 0:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot] = word


@kernel
def line_vectors(
    offsets: np.ndarray,
    lines: np.ndarray,
    known: Dictionary,
    vectors: np.ndarray,
    means: np.ndarray,
    counts: np.ndarray,
) -> None:
    """The mean vector of each line, and of how many vectors it is: `means` (n, dim), `counts` (n).

    `vectors` is the input matrix, float32 (rows, dim). The sum over the n-grams of a word is made
    once and remembered as long as the call goes on and no other word takes its place. It is always
    made by itself, so a line has the same vector, bit by bit, whatever stands before it.
    """
    dim = vectors.shape[1]
    num_places = 64
    while 2 * num_places * dim * 4 <= _MEMORY_BYTES:
        num_places *= 2
    sums = np.empty((num_places, dim), np.float32)
    sizes = np.empty(num_places, np.int32)  # how many vectors are in the sum; -1: no word, a label
    begins = np.zeros(num_places, np.int64)  # where in `lines` the word stands
    ends = np.zeros(num_places, np.int64)
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    padded = np.empty(longest + 2, np.uint8)
    hashes = np.empty(longest + 1, np.uint32)
    line_end = _hash_line_end()
    for row in range(len(offsets) - 1):
        mean = means[row]
        mean[:] = 0
        at, stop = offsets[row], offsets[row + 1]
        count = num_hashes = 0
        while at < stop:
            begin = at
            value = _HASH_SEED
            while at < stop and not _SPACES[lines[at]]:
                value = _mix(value, lines[at])
                at += 1
            if at > begin:
                place = (value ^ value >> 15) & (num_places - 1)
                known_from = begins[place]
                same = ends[place] - known_from == at - begin
                other = begin
                while same and other < at:
                    same = lines[other] == lines[known_from + other - begin]
                    other += 1
                if not same:
                    begins[place], ends[place] = begin, at
                    sizes[place] = _sum_word(
                        lines, begin, at, value, known, vectors, padded, sums[place]
                    )
                if sizes[place] >= 0:
                    count += sizes[place]
                    hashes[num_hashes] = value
                    num_hashes += 1
                    for column in range(dim):
                        mean[column] += sums[place, column]
                if value == line_end and _is_same(lines, begin, at, _LINE_END, 0, len(_LINE_END)):
                    break
            elif lines[at] == 0x0A:
                count += _add_line_end(known, vectors, mean)
                hashes[num_hashes] = line_end
                num_hashes += 1
                break
            else:
                at += 1
        if known.max_words > 1:
            count += _add_word_ngrams(hashes, num_hashes, known, vectors, mean)
        if count:
            mean *= np.float32(1.0 / count)
        counts[row] = count


@kernel
def _mix(value: np.uint32, byte: int) -> np.uint32:
    """One step of the hash. fastText takes bytes as signed: those over 127 set the upper bits."""
    return np.uint32((value ^ np.uint32(np.int8(byte))) * _HASH_FACTOR)


@kernel
def _is_same(
    left: np.ndarray, begin: int, end: int, right: np.ndarray, start: int, stop: int
) -> bool:
    same, place = end - begin == stop - start, 0
    while same and place < end - begin:
        same = left[begin + place] == right[start + place]
        place += 1
    return bool(same)


@kernel
def _sum_word(
    lines: np.ndarray,
    begin: int,
    end: int,
    value: np.uint32,
    known: Dictionary,
    vectors: np.ndarray,
    padded: np.ndarray,
    total: np.ndarray,
) -> int:
    """Sum the vectors of a word into `total` and return how many; -1 for a label."""
    total[:] = 0
    word = _find(lines, begin, end, value, known)
    if word >= known.num_words or (word < 0 and _is_label(lines, begin, end)):
        return -1
    count = 0
    if word >= 0:
        _add(vectors, word, total)
        count = 1
    if known.max_chars <= 0 or _is_same(lines, begin, end, _LINE_END, 0, len(_LINE_END)):
        return count
    padded[0] = _FIRST
    padded[1 : 1 + end - begin] = lines[begin:end]
    padded[1 + end - begin] = _LAST
    return count + _add_ngrams(padded, end - begin + 2, known, vectors, total)


@kernel
def _find(lines: np.ndarray, begin: int, end: int, value: np.uint32, known: Dictionary) -> int:
    """The number of the word or label, or -1."""
    slot = value & (len(known.slots) - 1)
    while known.slots[slot] >= 0:
        word: int = known.slots[slot]
        if _is_same(lines, begin, end, known.data, known.starts[word], known.stops[word]):
            return word
        slot = (slot + 1) & (len(known.slots) - 1)
    return -1


@kernel
def _is_label(lines: np.ndarray, begin: int, end: int) -> bool:
    stop = min(end, begin + len(_LABEL_PREFIX))
    return _is_same(lines, begin, stop, _LABEL_PREFIX, 0, len(_LABEL_PREFIX))


@kernel
def _add_ngrams(
    word: np.ndarray, stop: int, known: Dictionary, vectors: np.ndarray, total: np.ndarray
) -> int:
    """Add the character n-grams of a padded word; return how many have a vector.

    "<" and ">" by themselves are none. Here is most of the time spent, so the bucket's vector is
    added in place: a call for each n-gram, with all arrays of `known`, takes three times as long.
    """
    rows, kept, is_pruned = known.rows, known.kept, len(known.rows) > 0
    num_buckets, num_words = np.uint32(known.num_buckets), known.num_words
    min_chars, max_chars = known.min_chars, known.max_chars
    count = 0
    for first in range(stop):
        if word[first] & 0xC0 == 0x80:  # within a code point
            continue
        value, at, num_chars = _HASH_SEED, first, 0
        while at < stop and num_chars < max_chars:
            value = _mix(value, word[at])
            at += 1
            while at < stop and word[at] & 0xC0 == 0x80:
                value = _mix(value, word[at])
                at += 1
            num_chars += 1
            if num_chars < min_chars or (num_chars == 1 and (first == 0 or at == stop)):
                continue
            bucket: Any = np.uint32(value % num_buckets)
            if is_pruned and not kept[bucket >> 3] >> (bucket & 7) & 1:
                continue
            row = num_words + (rows[bucket] if is_pruned else np.int64(bucket))
            for column in range(len(total)):
                total[column] += vectors[row, column]
            count += 1
    return count


@kernel
def _add_word_ngrams(
    hashes: np.ndarray, num_hashes: int, known: Dictionary, vectors: np.ndarray, total: np.ndarray
) -> int:
    """Add the n-grams of 2 to `max_words` words; return how many have a vector."""
    rows, is_pruned = known.rows, len(known.rows) > 0
    num_buckets, num_words = np.uint64(known.num_buckets), known.num_words
    count = 0
    for first in range(num_hashes):
        value = np.uint64(np.int64(np.int32(hashes[first])))
        for last in range(first + 1, min(num_hashes, first + known.max_words)):
            value = value * _NGRAM_FACTOR + np.uint64(np.int64(np.int32(hashes[last])))
            bucket: Any = np.int64(value % num_buckets)
            row: Any = np.int64(rows[bucket]) if is_pruned else bucket
            if row >= 0:
                _add(vectors, num_words + row, total)
                count += 1
    return count


@kernel
def _add_line_end(known: Dictionary, vectors: np.ndarray, total: np.ndarray) -> int:
    word = _find(_LINE_END, 0, len(_LINE_END), _hash_line_end(), known)
    if word < 0:
        return 0
    _add(vectors, word, total)
    return 1


@kernel
def _hash_line_end() -> np.uint32:
    value = _HASH_SEED
    for at in range(len(_LINE_END)):
        value = _mix(value, _LINE_END[at])
    return value


@kernel
def _add(vectors: np.ndarray, row: int, total: np.ndarray) -> None:
    for column in range(len(total)):
        total[column] += vectors[row, column]
