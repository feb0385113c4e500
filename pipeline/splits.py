"""Which documents validate: by the hash of the text, so that one text is always on one side."""

import numpy as np
import pyarrow as pa

from pipeline.keys import key_words


def validation_mask(text_hash: pa.FixedSizeBinaryArray, fraction: float) -> np.ndarray:
    """True where a document belongs to validation, shape (n,).

    The low 64 bits of the text hash against `fraction` of their range: no seed, so that corpora
    prepared apart agree.
    """
    low: np.ndarray = key_words(text_hash)[:, 1]
    mask: np.ndarray = low < np.uint64(min(int(fraction * 2.0**64), 2**64 - 1))
    return mask
