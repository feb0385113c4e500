"""Document keys and text hashes: who a document is, whatever the order in which it is met.

    text_hash = xxh3-128(stored text)
    key       = xxh3-128(source \\0 path relative to the manifest \\0 row \\0 text_hash)

xxh3-128 (Collet, https://xxhash.com) is not cryptographic; at 10^9 documents the odds of one
collision by chance are 10^-21.
"""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipeline.arrow import value_bounds

KEY_TYPE = pa.binary(16)


def hash_values(values: pa.Array) -> pa.FixedSizeBinaryArray:
    """xxh3-128 of each value of a string or binary array without nulls.

    One call of the C library a row, 0.4 µs each: the only per-row loop of `refine`.
    """
    bounds, data = value_bounds(values)
    digest, view, ends = xxhash.xxh3_128_digest, memoryview(data), bounds.tolist()
    joined = b"".join([digest(view[a:b]) for a, b in pairwise(ends)])
    return pa.Array.from_buffers(KEY_TYPE, len(values), [None, pa.py_buffer(joined)])


def document_keys(batch: pa.RecordBatch, text_hash: pa.Array) -> pa.FixedSizeBinaryArray:
    """Keys of the rows of a DOCUMENT batch whose stored texts have these hashes."""
    parts = [
        batch["source"].cast(pa.binary()),
        batch["source_path"].cast(pa.binary()),
        batch["source_row"].cast(pa.string()).cast(pa.binary()),
        text_hash.cast(pa.binary()),
    ]
    return hash_values(pc.binary_join_element_wise(*parts, pa.scalar(b"\0")))


def key_words(keys: pa.FixedSizeBinaryArray) -> np.ndarray:
    """Keys as big-endian unsigned 64-bit words, shape (n, 2): they sort as the bytes do."""
    raw = np.frombuffer(keys.buffers()[1], dtype=">u8").reshape(-1, 2)
    words: np.ndarray = raw[keys.offset : keys.offset + len(keys)].astype(np.uint64)
    return words
