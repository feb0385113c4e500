"""Near-duplicates by the definitions: words in plain Python, all pairs of documents by sparse join.

What `pipeline.dedup` finds with hashes and kernels is held against this, which shares no code with
it. Words are those of `pipeline/dedup/words.py`'s docstring, from `unicodedata`. A shingle is five
words in a row; each distinct one has a number, given by sorting, not by hashing, so no two collide.

The pairs are complete from a similarity on by the prefix filter (Chaudhuri, Ganti and Kaushik, "A
primitive operator for similarity joins in data cleaning", 2006; Bayardo, Ma and Srikant, "Scaling
up all pairs similarity search", 2007): sort the shingles of every document from the rarest to the
most frequent of the corpus. J(x, y) >= t needs |x & y| >= t |x|, and so many shingles that are also
in y cannot all stand behind the first |x| - ceil(t |x|) + 1 of x, nor those of y behind y's. So the
two first parts share a shingle, and pairs whose first parts share none need not be compared.
"""

import itertools
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy import sparse

NGRAM = 5
MIN_SIMILARITY = 0.3
UNSPACED = (
    *("HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA", "HENTAIGANA", "CJK"),
    *("THAI", "LAO", "MYANMAR", "KHMER"),
)
BLOCK_PRODUCTS = 100_000_000  # multiplications per block of the join; memory is a part of it
BLOCK_SHINGLES = 20_000_000  # of the pairs compared at once
ROUNDING = 1e-9  # a bound is this much looser, so that rounding never loses a pair


class Pairs(NamedTuple):
    """Two documents each, `one` < `two`, and their similarity; sorted."""

    one: np.ndarray  # (m,) int64
    two: np.ndarray  # (m,) int64
    similarity: np.ndarray  # (m,) float64


class _Characters(dict[int, str | None]):
    """What `str.translate` puts in the place of each code point; found when first asked for."""

    def __missing__(self, point: int) -> str | None:
        self[point] = found = _replacement(chr(point))
        return found


def _replacement(character: str) -> str | None:
    """The folded character; None: passed over; a space: it separates."""
    point, category = ord(character), unicodedata.category(character)
    if "\ufe00" <= character <= "\ufe0f":
        return None
    if point >= 0x40000:
        return " "
    if category == "Cf":
        return " " if character == "\u200b" else None
    if point >= 0x20000:
        return f" {character} "
    if category[0] not in "LMN":
        return " "
    folded = next((f for f in (character.casefold(), character.lower()) if len(f) == 1), character)
    is_alone = character in "々〆〇" or unicodedata.name(character, "").startswith(UNSPACED)
    return f" {folded} " if is_alone else folded


_CHARACTERS = _Characters()


def words(text: str) -> list[str]:
    """Runs of letters, marks and numbers, folded; those of unspaced scripts one by one."""
    return text.translate(_CHARACTERS).split()


def shingle_matrix(texts: Iterable[str]) -> sparse.csr_array:
    """A row per document, a column per shingle; 1 where the document has it; int32.

    A document of fewer words than a shingle has one of its own: all its words; without any, its
    stripped text.
    """
    vocabulary: dict[str, int] = defaultdict(itertools.count().__next__)
    wholes: dict[tuple[str, ...], int] = defaultdict(itertools.count().__next__)
    numbers, lengths, short = [], [], []
    for row, text in enumerate(texts):
        found = words(text)
        lengths.append(len(found) if len(found) >= NGRAM else 0)
        if not lengths[-1]:
            short.append((row, wholes[tuple(found) or ("", text.strip(" \t\n\v\f\r"))]))
        else:
            numbers.append(np.fromiter(map(vocabulary.__getitem__, found), np.int64, len(found)))
    none = np.zeros(0, np.int64)
    shingle, row = _ngrams(np.concatenate([none, *numbers]), np.array(lengths, np.int64))
    short_row, short_column = np.array(short, np.int64).reshape(-1, 2).T
    num_shingles = int(shingle.max(initial=-1)) + 1
    rows = np.concatenate([row, short_row])
    columns = np.concatenate([shingle, short_column + num_shingles])
    shape = (len(lengths), num_shingles + len(wholes))
    matrix = sparse.csr_array((np.ones(len(rows), np.int32), (rows, columns)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _ngrams(numbers: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of each n-gram of words, none across two documents, and its document."""
    document = np.repeat(np.arange(len(lengths)), lengths)
    inside = document[NGRAM - 1 :] == document[: len(document) - NGRAM + 1]
    num_words = int(numbers.max(initial=0)) + 1
    found, num_found = numbers, num_words
    for place in range(1, NGRAM):
        if num_found * num_words >= 1 << 63:
            found, num_found = _numbered(found)
        found, num_found = found[:-1] * num_words + numbers[place:], num_found * num_words
    return _numbered(found[inside])[0], document[NGRAM - 1 :][inside]


def _numbered(values: np.ndarray) -> tuple[np.ndarray, int]:
    """The place of each value among the distinct ones in order, and how many these are."""
    distinct, numbers = np.unique(values, return_inverse=True)
    return numbers, len(distinct)


def similar_pairs(matrix: sparse.csr_array, threshold: float = MIN_SIMILARITY) -> Pairs:
    """All pairs of rows whose Jaccard similarity is at least `threshold`, which is above 0."""
    one, two = _candidates(matrix, threshold)
    similarity = similarities(matrix, one, two)
    chosen = np.flatnonzero(similarity >= threshold)
    chosen = chosen[np.lexsort((two[chosen], one[chosen]))]
    return Pairs(one[chosen], two[chosen], similarity[chosen])


def similarities(matrix: sparse.csr_array, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Exact Jaccard similarity of pairs of rows, float64 (m,)."""
    sizes = np.diff(matrix.indptr).astype(np.int64)
    shared = matrix[:, _num_documents(matrix) > 1]  # what one document has counts in its size only
    num_shared = np.diff(shared.indptr).astype(np.int64)
    block = np.cumsum(num_shared[one] + num_shared[two]) // BLOCK_SHINGLES
    common = np.zeros(len(one), np.int64)
    for number in range(int(block.max(initial=-1)) + 1):
        start, stop = np.searchsorted(block, [number, number + 1])
        both = shared[one[start:stop]].multiply(shared[two[start:stop]])
        common[start:stop] = both.sum(axis=1)
    found: np.ndarray = common / (sizes[one] + sizes[two] - common)
    return found


def _candidates(matrix: sparse.csr_array, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs whose first parts share a shingle, and whose sizes allow the similarity."""
    sizes = np.diff(matrix.indptr).astype(np.int64)
    first = _first_parts(matrix, threshold)
    transposed = first.T.tocsr()
    block = np.cumsum(first @ np.diff(transposed.indptr).astype(np.int64)) // BLOCK_PRODUCTS
    none = np.zeros(0, np.int64)
    ones, twos = [none], [none]
    for number in np.unique(block):
        start, stop = np.searchsorted(block, [number, number + 1])
        shared = (first[start:stop] @ transposed).tocoo()
        one, two = shared.coords[0].astype(np.int64) + start, shared.coords[1].astype(np.int64)
        low, high = np.minimum(sizes[one], sizes[two]), np.maximum(sizes[one], sizes[two])
        chosen = (one < two) & (low >= threshold * high * (1 - ROUNDING))
        ones.append(one[chosen])
        twos.append(two[chosen])
    return np.concatenate(ones), np.concatenate(twos)


def _num_documents(matrix: sparse.csr_array) -> np.ndarray:
    """How many documents have each shingle."""
    return np.bincount(matrix.indices, minlength=matrix.shape[1])


def _first_parts(matrix: sparse.csr_array, threshold: float) -> sparse.csr_array:
    """Each row's |x| - ceil(t |x|) + 1 rarest shingles, without those of one document alone."""
    num_documents = _num_documents(matrix)
    place = np.empty(matrix.shape[1], np.int64)  # a column's place from the rarest on
    place[np.argsort(num_documents, kind="stable")] = np.arange(matrix.shape[1])
    sizes = np.diff(matrix.indptr).astype(np.int64)
    row = np.repeat(np.arange(matrix.shape[0]), sizes)
    columns = matrix.indices[np.lexsort((place[matrix.indices], row))]
    within = np.arange(len(row)) - np.repeat(matrix.indptr[:-1].astype(np.int64), sizes)
    num_first = sizes - np.ceil(sizes * threshold * (1 - ROUNDING)).astype(np.int64) + 1
    chosen = (within < num_first[row]) & (num_documents[columns] > 1)
    entries = (np.ones(int(chosen.sum()), np.int32), (row[chosen], columns[chosen]))
    return sparse.csr_array(entries, shape=matrix.shape)
