"""Exact similarity of the sets of shingles, one mechanism for exact and near-duplicates: Jaccard
similarity, or the containment of one in the other (Broder, "On the resemblance and containment of
documents", 1997).

A document shorter than a shingle is the set of one hash, of all its words in order (of its stripped
bytes, where it has no words): two such documents have similarity 1.0 if they are equal, else 0.0,
and none is contained in a longer one. That hash is another function than the one that put them into
a bucket, so a collision there does not verify itself.

"Exact" is up to collisions of 64-bit shingle hashes: for two documents of n shingles together, odds
of n^2 / 2^65 that the similarity is off by 1 / n (10,000 words each: 10^-11).
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.dedup import kernels
from pipeline.dedup.common import common_hashes
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.signature import text_buffers
from pipeline.dedup.words import word_table


class ShingleSets(NamedTuple):
    """Set i is hashes[offsets[i]:offsets[i + 1]], ascending, distinct, never empty."""

    offsets: np.ndarray  # (n + 1,) int64
    hashes: np.ndarray  # uint64


def shingle_sets(texts: pa.StringArray, config: DedupConfig) -> ShingleSets:
    """The shingle sets of a batch of texts, 8 bytes a shingle; a null is the empty text."""
    data, bounds = text_buffers(texts)
    offsets = np.zeros(len(texts) + 1, np.int64)
    hashes = kernels.shingle_sets(
        data, bounds, word_table(), config.by_characters, config.ngram, offsets
    )
    return ShingleSets(offsets, hashes)


def jaccard(
    left: ShingleSets, left_index: np.ndarray, right: ShingleSets, right_index: np.ndarray
) -> np.ndarray:
    """|A & B| / |A | B| of each pair (left set, right set), float64 (m,).

    The indices are (m,) integers. Raises IndexError for one that has no set.
    """
    common = _num_common(left, left_index, right, right_index)
    union = _sizes(left, left_index) + _sizes(right, right_index) - common
    similarity: np.ndarray = common / union
    return similarity


def containment(
    left: ShingleSets, left_index: np.ndarray, right: ShingleSets, right_index: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """|A & B| / |A| and |A & B| / |B| of each pair: the share of each that is in the other.

    Two float64 (m,), of the left and of the right set. Raises as `jaccard`.
    """
    common = _num_common(left, left_index, right, right_index)
    return common / _sizes(left, left_index), common / _sizes(right, right_index)


def _sizes(sets: ShingleSets, index: np.ndarray) -> np.ndarray:
    """How many shingles each set has, int64 (m,); at least 1."""
    sizes: np.ndarray = np.diff(sets.offsets)[np.asarray(index, np.int64)]
    return sizes


def _num_common(
    left: ShingleSets, left_index: np.ndarray, right: ShingleSets, right_index: np.ndarray
) -> np.ndarray:
    """|A & B| of each pair, int64 (m,)."""
    left_index, right_index = np.asarray(left_index, np.int64), np.asarray(right_index, np.int64)
    if len(left_index) != len(right_index):
        raise IndexError(
            f"got {len(left_index)} left and {len(right_index)} right sets, want pairs"
        )
    _check(left_index, left)
    _check(right_index, right)
    num_common = np.empty(len(left_index), np.int64)
    common_hashes(
        *(left.offsets, left.hashes, left_index),
        *(right.offsets, right.hashes, right_index),
        num_common,
    )
    return num_common


def _check(index: np.ndarray, sets: ShingleSets) -> None:
    """A kernel does not look: a wrong index would read other memory."""
    num_sets = len(sets.offsets) - 1
    if len(index) and not 0 <= index.min() <= index.max() < num_sets:
        raise IndexError(f"got sets {index.min()}..{index.max()}, want 0..{num_sets - 1}")
