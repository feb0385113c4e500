"""Compiled loops over the bytes of texts: words, characters, shingles, signatures, shingle sets.

Kernels that call each other stand in one file, because numba's on-disk cache watches only the file
of the outermost one: a change elsewhere would leave stale machine code in use.

A word's hash is FNV-1a's recurrence (http://isthe.com/chongo/tech/comp/fnv) over its folded code
points with a 64-bit multiplier, then the 64-bit finaliser of MurmurHash3 (Appleby, public domain),
a bijection; a character's hash is that of a word of one code point. A shingle's hash is a
polynomial in its words' or characters' hashes modulo 2^64, so it depends on their order, finalised
in the same way. Both behave as random 64-bit values: among n distinct
shingles, two collide with odds of n^2 / 2^65 (for a pair of documents of 10,000 words, 10^-11).

In numba, int64 with uint64 is float64: every constant below is a uint64.
"""

from typing import TypeAlias

import numpy as np

from filters.kernels.compiled import kernel
from pipeline.dedup.words import ALONE, IGNORED, NUM_CODE_POINTS, SEPARATOR

Index: TypeAlias = int | np.int64


# Odd constants with evenly spread bits: 2^64 divided by the golden ratio, and those of
# xxHash (Collet, XXH64 primes 1, 2 and 3).
WORD_FACTOR = np.uint64(0x9E3779B97F4A7C15)
SHINGLE_FACTOR = np.uint64(0x9E3779B185EBCA87)
SEQUENCE_FACTOR = np.uint64(0xC2B2AE3D27D4EB4F)
WORD_SEED = np.uint64(0x165667B19E3779F9)
BUCKET_SEED = np.uint64(0x27D4EB2F165667C5)  # of the hash that puts a whole text into a bucket
VERIFY_SEED = np.uint64(0x85EBCA77C2B2AE63)  # of the one that verifies it: an independent function

_SHIFT, _ROTATE, _UNROTATE = np.uint64(33), np.uint64(29), np.uint64(35)
_MURMUR_1, _MURMUR_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_SPACE = np.uint64(32)  # a separator, so nothing else folds to it
_ALONE, _IGNORED, _SEPARATOR = np.uint64(ALONE), np.uint64(IGNORED), np.uint64(SEPARATOR)
_FIRST_LETTER, _NUM_LETTERS = np.uint64(IGNORED + 1), np.uint64(ALONE - IGNORED - 1)
_ONE = np.uint64(1)

EMPTY_MINHASH = np.uint32(0xFFFFFFFF)
_BLOCK = 4096  # shingles per pass over the permutations: 16 KB, half of a first-level cache
_MAX_SORT_BITS, _MAX_INSERTED = 18, 32
_LANES = 32  # blocks are padded to a multiple of this, so that no scalar remainder is left


@kernel
def mix64(value: np.uint64) -> np.uint64:
    """MurmurHash3's 64-bit finaliser."""
    value = (value ^ (value >> _SHIFT)) * _MURMUR_1
    value = (value ^ (value >> _SHIFT)) * _MURMUR_2
    return value ^ (value >> _SHIFT)


@kernel
def mix32(value: np.uint32) -> np.uint32:
    """MurmurHash3's 32-bit finaliser: what datasketch's affine32 scheme does to its input."""
    value = np.uint32((value ^ (value >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    value = np.uint32((value ^ (value >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(value ^ (value >> np.uint32(16)))


@kernel
def code_point(data: np.ndarray, at: Index) -> tuple[Index, Index]:
    """The code point whose UTF-8 begins at `at`, which is not ASCII, and where the next begins."""
    first = np.int64(data[at])
    second = np.int64(data[at + 1]) & 63
    if first < 0xE0:
        return (first & 31) << 6 | second, at + 2
    third = np.int64(data[at + 2]) & 63
    if first < 0xF0:
        return (first & 15) << 12 | second << 6 | third, at + 3
    fourth = np.int64(data[at + 3]) & 63
    return (first & 7) << 18 | second << 12 | third << 6 | fourth, at + 4


@kernel
def word_hashes(
    data: np.ndarray, start: Index, stop: Index, table: np.ndarray, words: np.ndarray
) -> int:
    """Write the hash of each word of data[start:stop], valid UTF-8, into `words`; how many."""
    num_words, state, at, end = 0, WORD_SEED, np.uint64(start), np.uint64(stop)
    while at < end:
        if data[at] < 0x80:
            folded = np.uint64(table[data[at]])
            at += _ONE
        else:
            point, following = code_point(data, np.int64(at))
            folded = np.uint64(table[point]) if point < NUM_CODE_POINTS else _SEPARATOR
            at = np.uint64(following)
        if folded - _FIRST_LETTER < _NUM_LETTERS:
            state = (state ^ folded) * WORD_FACTOR
        elif folded != _IGNORED:
            # Without a branch, as whether a word ends here cannot be predicted: it is written, and
            # counts if there are letters. (A word whose state is the seed again: odds of 2^-64.)
            words[num_words] = mix64(state)
            num_words += state != WORD_SEED
            state = WORD_SEED
            if folded >= _ALONE:
                words[num_words] = mix64((state ^ folded) * WORD_FACTOR)
                num_words += 1
    if state != WORD_SEED:
        words[num_words] = mix64(state)
        num_words += 1
    return num_words


@kernel
def character_hashes(
    data: np.ndarray, start: Index, stop: Index, table: np.ndarray, characters: np.ndarray
) -> int:
    """Write the hash of each character of data[start:stop] into `characters`; how many.

    The characters are those of the words, and a space for what separates two of them.
    """
    num_characters, separated, at = 0, False, start
    space = mix64((WORD_SEED ^ _SPACE) * WORD_FACTOR)
    while at < stop:
        if data[at] < 0x80:
            folded = table[data[at]]
            at += 1
        else:
            point, at = code_point(data, at)
            folded = table[point] if point < NUM_CODE_POINTS else _SEPARATOR
        if folded == _SEPARATOR:
            separated = num_characters > 0
        elif folded != _IGNORED:
            if separated:
                characters[num_characters] = space
                num_characters, separated = num_characters + 1, False
            characters[num_characters] = mix64((WORD_SEED ^ np.uint64(folded)) * WORD_FACTOR)
            num_characters += 1
    return num_characters


@kernel
def words_of_texts(
    data: np.ndarray, bounds: np.ndarray, table: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    """Hashes of the words of each text, end to end; fills their `offsets`."""
    # A word takes a byte and a separator, or three bytes: at most half of the bytes, and one.
    total = np.int64(bounds[-1]) - np.int64(bounds[0])
    words = np.empty(total // 2 + len(bounds), np.uint64)
    used = 0
    for i in range(len(bounds) - 1):
        start, stop = np.int64(bounds[i]), np.int64(bounds[i + 1])
        used += word_hashes(data, start, stop, table, words[used:])
        offsets[i + 1] = used
    return words[:used]


@kernel
def word_spans(
    data: np.ndarray, start: Index, stop: Index, table: np.ndarray, spans: np.ndarray
) -> int:
    """Write where each word of data[start:stop] begins and ends into `spans` (n, 2); how many.

    The words are those of `word_hashes`. What is passed over at the ends of a word is not of it.
    """
    num_words, inside, at = 0, False, start
    while at < stop:
        begin = at
        if data[at] < 0x80:
            folded = table[data[at]]
            at += 1
        else:
            point, at = code_point(data, at)
            folded = table[point] if point < NUM_CODE_POINTS else _SEPARATOR
        if folded == _IGNORED:
            continue
        is_letter = folded != _SEPARATOR and folded < _ALONE
        if inside and not is_letter:
            num_words, inside = num_words + 1, False
        if is_letter or folded >= _ALONE:
            if not inside:
                spans[num_words, 0] = begin
            spans[num_words, 1] = at
            inside = is_letter
            num_words += folded >= _ALONE
    return num_words + inside


@kernel
def sequence_hash(words: np.ndarray, num_words: int, seed: np.uint64) -> np.uint64:
    """Hash of words[:num_words] in their order."""
    state = seed ^ np.uint64(num_words)
    for word in words[:num_words]:
        state ^= word * SHINGLE_FACTOR
        state = (state << _ROTATE | state >> _UNROTATE) * SEQUENCE_FACTOR
    return mix64(state)


@kernel
def bytes_hash(data: np.ndarray, start: Index, stop: Index, seed: np.uint64) -> np.uint64:
    """Hash of data[start:stop] without ASCII white space at its ends."""
    while start < stop and (data[start] == 32 or 9 <= data[start] <= 13):
        start += 1
    while start < stop and (data[stop - 1] == 32 or 9 <= data[stop - 1] <= 13):
        stop -= 1
    state = ~seed  # of no words at all: apart from what `sequence_hash` gives
    for byte in data[start:stop]:
        state = (state ^ np.uint64(byte)) * WORD_FACTOR
    return mix64(state)


@kernel
def text_hash(
    data: np.ndarray, start: Index, stop: Index, words: np.ndarray, num_words: int, seed: np.uint64
) -> np.uint64:
    """Hash of a text's words; where it has none ("!!!"), of its bytes."""
    if num_words > 0:
        return sequence_hash(words, num_words, seed)
    return bytes_hash(data, start, stop, seed)


@kernel
def shingle(words: np.ndarray, num_words: int, ngram: int) -> int:
    """Replace words[:num_words] by the hashes of the shingles that begin there; how many.

    Words, or characters.
    """
    num_shingles = num_words - ngram + 1
    if num_shingles <= 0:
        return 0
    state, leading = np.uint64(0), np.uint64(1)
    for word in words[: ngram - 1]:
        state = (state + word) * SHINGLE_FACTOR
        leading *= SHINGLE_FACTOR
    for i in range(num_shingles):
        first = words[i]
        state += words[i + ngram - 1]
        words[i] = mix64(state)
        state = (state - first * leading) * SHINGLE_FACTOR
    return num_shingles


@kernel
def minhash(
    shingles: np.ndarray, a: np.ndarray, b: np.ndarray, block: np.ndarray, minima: np.ndarray
) -> None:
    """minima[k] = min over the shingles of a[k] * mix32(low 32 bits) + b[k] modulo 2^32."""
    for start in range(0, len(shingles), _BLOCK):
        part = shingles[start : start + _BLOCK]
        for i in range(len(part)):
            block[i] = mix32(np.uint32(part[i]))
        padded = (len(part) + _LANES - 1) // _LANES * _LANES
        block[len(part) : padded] = block[0]  # seen already, so it moves no minimum
        for k in range(len(a)):
            factor, summand, least = a[k], b[k], minima[k]
            # By index and with a conditional, LLVM makes vector code: 5 ns a shingle; over the
            # array's values and with min(), 50 ns.
            for i in range(padded):
                value = np.uint32(factor * block[i] + summand)
                least = value if value < least else least
            minima[k] = least


@kernel
def sign_texts(
    data: np.ndarray,
    bounds: np.ndarray,
    table: np.ndarray,
    by_characters: bool,
    ngram: int,
    a: np.ndarray,
    b: np.ndarray,
    minhashes: np.ndarray,
    num_shingles: np.ndarray,
    exact_hash: np.ndarray,
) -> None:
    """Fill the signatures, shingle counts and whole-text hashes of the texts at `bounds`."""
    words = np.empty(_most_parts(bounds, by_characters), np.uint64)
    block = np.empty(_BLOCK, np.uint32)
    for i in range(len(bounds) - 1):
        start, stop = np.int64(bounds[i]), np.int64(bounds[i + 1])
        num_words = word_hashes(data, start, stop, table, words)
        exact_hash[i] = text_hash(data, start, stop, words, num_words, BUCKET_SEED)
        if by_characters:
            num_words = character_hashes(data, start, stop, table, words)
        if len(a) > 0:
            num_shingles[i] = shingle(words, num_words, ngram)
            minhash(words[: num_shingles[i]], a, b, block, minhashes[i])
        else:
            num_shingles[i] = max(num_words - ngram + 1, 0)


@kernel
def shingle_sets(
    data: np.ndarray,
    bounds: np.ndarray,
    table: np.ndarray,
    by_characters: bool,
    ngram: int,
    offsets: np.ndarray,
) -> np.ndarray:
    """Sorted distinct shingle hashes of each text, end to end; fills their `offsets`."""
    words = np.empty(_most_parts(bounds, by_characters), np.uint64)
    scratch, ends = np.empty(len(words), np.uint64), np.empty(1 << _MAX_SORT_BITS, np.int64)
    total = np.int64(bounds[-1]) - np.int64(bounds[0])
    hashes = np.empty(_parts_in(total, by_characters) + 2 * len(bounds), np.uint64)
    used = 0
    for i in range(len(bounds) - 1):
        start, stop = np.int64(bounds[i]), np.int64(bounds[i + 1])
        num_words = word_hashes(data, start, stop, table, words)
        whole = text_hash(data, start, stop, words, num_words, VERIFY_SEED)
        if by_characters:
            num_words = character_hashes(data, start, stop, table, words)
        num_shingles = shingle(words, num_words, ngram)
        if num_shingles == 0:
            words[0], num_shingles = whole, 1
        _sort_hashes(words[:num_shingles], scratch, ends)
        used = _append_distinct(words[:num_shingles], hashes, used)
        offsets[i + 1] = used
    return hashes[:used].copy()


@kernel
def _sort_hashes(values: np.ndarray, scratch: np.ndarray, ends: np.ndarray) -> None:
    """Sort hashes: by their upper bits into about as many parts as there are, then each part.

    They are as random, so parts are of one or two: 20 ns a hash, where comparing takes 80.
    """
    bits = np.int64(1)
    while (1 << bits) < len(values) and bits < _MAX_SORT_BITS:
        bits += 1
    shift = np.uint64(64 - bits)
    ends[: 1 << bits] = 0
    for value in values:
        ends[value >> shift] += 1
    start = 0
    for part in range(1 << bits):
        start, ends[part] = start + ends[part], start
    for value in values:
        scratch[ends[value >> shift]] = value
        ends[value >> shift] += 1
    start = 0
    for part in range(1 << bits):
        if ends[part] - start > _MAX_INSERTED:  # shingles over and over: by insertion, quadratic
            scratch[start : ends[part]].sort()
        else:
            for i in range(start + 1, ends[part]):
                value, at = scratch[i], i
                while at > start and scratch[at - 1] > value:
                    scratch[at] = scratch[at - 1]
                    at -= 1
                scratch[at] = value
        start = ends[part]
    values[:] = scratch[: len(values)]


@kernel
def _append_distinct(values: np.ndarray, out: np.ndarray, used: int) -> int:
    out[used] = values[0]
    used += 1
    for value in values[1:]:
        if value != out[used - 1]:
            out[used] = value
            used += 1
    return used


@kernel
def _parts_in(num_bytes: Index, by_characters: bool) -> Index:
    """No text of so many bytes has more words, or characters, than this.

    A word takes a byte and a separator, or three bytes: at most half of the bytes, and one. A
    character takes a byte, a space one of those that separate.
    """
    return num_bytes if by_characters else num_bytes // 2 + 1


@kernel
def _most_parts(bounds: np.ndarray, by_characters: bool) -> Index:
    """No text at `bounds` has more words, or characters, than this; at least 1."""
    longest = np.int64(0)
    for i in range(len(bounds) - 1):
        longest = max(longest, np.int64(bounds[i + 1]) - np.int64(bounds[i]))
    return max(_parts_in(longest, by_characters), np.int64(1))


@kernel
def hash_bands(minhashes: np.ndarray, num_bands: int, num_rows: int, bands: np.ndarray) -> None:
    """bands[i, j] = hash of (j, the j-th `num_rows` minhashes of document i)."""
    for i in range(len(minhashes)):
        for j in range(num_bands):
            state = mix64(BUCKET_SEED + np.uint64(j + 1))
            for k in range(j * num_rows, (j + 1) * num_rows):
                state = mix64(state ^ np.uint64(minhashes[i, k])) * SEQUENCE_FACTOR
            bands[i, j] = mix64(state)
