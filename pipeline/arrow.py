"""Small views on Arrow arrays that several stages share."""

import numpy as np
import pyarrow as pa

EMPTY = pa.py_buffer(b"")


def value_bounds(values: pa.Array) -> tuple[np.ndarray, pa.Buffer]:
    """Offsets (n + 1, int32) into the data buffer of a string or binary array, and that buffer.

    Respects slices: the first offset need not be 0.
    """
    _, offsets, data = values.buffers()
    if offsets is None or len(values) == 0:
        return np.zeros(1, np.int32), EMPTY
    bounds = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    return bounds, data if data is not None else EMPTY


def num_value_bytes(values: pa.Array) -> np.ndarray:
    """Bytes of each value of a string or binary array, int64; null and empty values are 0."""
    lengths: np.ndarray = np.diff(value_bounds(values)[0]).astype(np.int64)
    return lengths
