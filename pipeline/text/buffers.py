"""A string array as its two buffers, and back, so that kernels work on bytes without a copy."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

MAX_ARRAY_BYTES = 2**31 - 1  # pa.string() has int32 offsets


class Utf8(NamedTuple):
    """Row i is `data[offsets[i]:offsets[i + 1]]`; a slice's offsets do not begin at 0."""

    offsets: NDArray[np.int32]  # (rows + 1,)
    data: NDArray[np.uint8]


def utf8(texts: pa.StringArray) -> Utf8:
    """View a `pa.string()` array without copying; it has no nulls, and may be a slice or empty."""
    assert texts.type == pa.string(), f"want string, got {texts.type}"
    assert texts.null_count == 0, f"want no null text, got {texts.null_count}"
    _, offsets, data = texts.buffers()
    empty = offsets is None or offsets.size == 0  # an empty array may have no offsets at all
    view = np.zeros(1, np.int32) if empty else np.frombuffer(offsets, np.int32)
    first = 0 if empty else texts.offset
    no_data = data is None or data.size == 0
    return Utf8(
        view[first : first + len(texts) + 1],
        np.zeros(0, np.uint8) if no_data else np.frombuffer(data, np.uint8),
    )


def strings(offsets: NDArray[np.int32], data: NDArray[np.uint8]) -> pa.StringArray:
    """A string array over these buffers, which hold UTF-8: that is up to the kernel."""
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def replace_rows(
    texts: pa.StringArray, mask: NDArray[np.bool_], rows: pa.StringArray
) -> pa.StringArray:
    """`texts` with the rows of `mask` replaced, in order, by `rows`."""
    return pc.replace_with_mask(texts, pa.array(mask), rows)
