"""Signatures of texts: MinHash, the hash of the whole text, and the buckets they fall into.

MinHash (Broder, "On the resemblance and containment of documents", 1997) with the permutations of
datasketch 2.0's scheme "affine32": x -> a * mix32(x) + b modulo 2^32, a odd. The 32-bit input x is
the low half of a shingle's hash, so a signature can be read as
`datasketch.MinHash(hashvalues=row, seed=config.minhash.seed, scheme="affine32")`.
"""

import functools
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.arrow import value_bounds
from pipeline.dedup import kernels
from pipeline.dedup.config import DedupConfig, MinHashConfig
from pipeline.dedup.words import word_table


class Signatures(NamedTuple):
    """One row per text.

    A text of fewer than `ngram` words (characters, where shingles are of them) has no shingles:
    `num_shingles` is 0 and its minhashes are all 0xFFFFFFFF and mean nothing; it takes the exact
    path only.
    """

    minhashes: np.ndarray  # (n, num_perm) uint32; (n, 0) without minhash
    num_shingles: np.ndarray  # (n,) int32, repeated shingles included
    exact_hash: np.ndarray  # (n,) uint64 of the folded words; of the stripped bytes without words


class Buckets(NamedTuple):
    """One row per bucket that a document falls into."""

    bucket: np.ndarray  # (m,) uint64
    row: np.ndarray  # (m,) int64, the document's row among the signatures, ascending


def sign(texts: pa.StringArray, config: DedupConfig) -> Signatures:
    """Signatures of a batch of texts; a null is signed as the empty text.

    About 5.5 ns a byte on one core: words, shingles and 112 permutations; 17 ns where shingles are
    of characters, of which there are six times as many.
    """
    data, bounds = text_buffers(texts)
    a, b = permutations(config.minhash)
    signatures = Signatures(
        np.full((len(texts), len(a)), kernels.EMPTY_MINHASH),
        np.zeros(len(texts), np.int32),
        np.zeros(len(texts), np.uint64),
    )
    kernels.sign_texts(
        data, bounds, word_table(), config.by_characters, config.ngram, a, b, *signatures
    )
    return signatures


def band_hashes(minhashes: np.ndarray, config: MinHashConfig) -> np.ndarray:
    """The bucket of each document in each band, uint64 (n, bands); no two bands share a bucket."""
    bands = np.empty((len(minhashes), config.bands), np.uint64)
    kernels.hash_bands(minhashes, config.bands, config.rows, bands)
    return bands


def buckets(signatures: Signatures, config: DedupConfig) -> Buckets:
    """All buckets of the documents: of the whole text, and of the bands of those with shingles.

    Documents without shingles always have the bucket of their whole text, except where neither
    `exact` nor `minhash` is asked for.
    """
    has_bands = (signatures.num_shingles > 0) & (config.minhash is not None)
    has_exact = ~has_bands & (config.minhash is not None) | config.exact
    hashes, rows = [signatures.exact_hash[has_exact]], [np.flatnonzero(has_exact)]
    if config.minhash is not None:
        bands = band_hashes(signatures.minhashes[has_bands], config.minhash)
        hashes.append(bands.ravel())
        rows.append(np.repeat(np.flatnonzero(has_bands), config.minhash.bands))
    bucket, row = np.concatenate(hashes), np.concatenate(rows)
    order = np.argsort(row, kind="stable")
    return Buckets(bucket[order], row[order])


def text_buffers(texts: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """The UTF-8 bytes (uint8) and bounds (n + 1) of texts; nulls become empty texts."""
    if texts.null_count:
        texts = pc.fill_null(texts, "")
    bounds, data = value_bounds(texts)
    return np.frombuffer(data, np.uint8), bounds


@functools.lru_cache(maxsize=8)
def permutations(config: MinHashConfig | None) -> tuple[np.ndarray, np.ndarray]:
    """The factors a (odd) and summands b of the permutations, uint32 (num_perm,) each.

    numpy's RandomState never changes its stream, so they are the same on every machine.
    """
    if config is None:
        return np.zeros(0, np.uint32), np.zeros(0, np.uint32)
    random = np.random.RandomState(config.seed)
    a = random.randint(0, 1 << 31, config.num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    b = random.randint(0, 1 << 32, config.num_perm, dtype=np.uint32)
    return a, b
