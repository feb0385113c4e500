"""A number for each text by which it is in the sample or not: copies of a text have the same.

A sample of documents at random would hold a pair of copies with the square of its share, and show
a tenth of the duplicates. So a text is drawn by what near copies have in common: of two minhashes
of its shingles. Two texts of Jaccard similarity s have the same key with probability s^2, and are
drawn together then; `together` says so, and whoever counts pairs divides by it.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dedup.config import DedupConfig, MinHashConfig
from pipeline.dedup.signature import sign

NUM_MINHASHES = 2
MIN_TOGETHER = 0.25  # of pairs that validation must not see, which are less alike
Keys = npt.NDArray[np.float64]


def sample_keys(texts: pa.StringArray, config: DedupConfig) -> Keys:
    """Of each text a number in 0..1, evenly spread; those below 0.1 are a tenth of the texts."""
    signed = sign(texts, _small(config))
    if signed.minhashes.shape[1]:
        wide = signed.minhashes.astype(np.uint64)
        both = (wide[:, 0] << np.uint64(32)) | wide[:, 1]
        whole = np.where(signed.num_shingles > 0, both, signed.exact_hash)
    else:
        whole = signed.exact_hash
    return _mixed(whole).astype(np.float64) / 2.0**64


def together(similarity: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """With what probability both of a pair have one key."""
    return np.maximum(similarity**NUM_MINHASHES, MIN_TOGETHER)


def _small(config: DedupConfig) -> DedupConfig:
    """The same shingles, and no more permutations than a key needs."""
    if config.minhash is None:
        return config
    values = config.minhash.model_dump(include={"ngram", "shingles"})
    minhash = MinHashConfig(**values, num_perm=NUM_MINHASHES, bands=NUM_MINHASHES, rows=1)
    return config.model_copy(update={"minhash": minhash})


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """splitmix64 (Steele et al. 2014): minhashes are small numbers, and are to be spread."""
    mixed = values.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    found: npt.NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return found
