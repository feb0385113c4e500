"""From texts with tags to the texts that are stored, and back.

Tags go through edits, decontamination and filters; only then do pseudonyms and hashes take their
places, and a column tells where they stand, so that whatever compares documents later sees tags.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from pipeline.text.buffers import MAX_ARRAY_BYTES, strings, utf8
from pipeline.text.pii.tags import Tags

COLUMN = "pii_spans"
# Bytes of the stored text, begin to end, that stand for one value of a kind; sorted, not
# overlapping. The span of a removed value is empty.
SPANS = pa.list_(
    pa.struct(
        [
            pa.field("begin", pa.int32(), nullable=False),
            pa.field("end", pa.int32(), nullable=False),
            pa.field("kind", pa.string(), nullable=False),
        ]
    )
)


class Stored(NamedTuple):
    """Texts as they are stored, and their spans: the column `pii_spans`, of type `SPANS`."""

    texts: pa.StringArray
    spans: pa.ListArray


def stored(texts: pa.StringArray, tags: Tags, kinds: Sequence[str]) -> Stored:
    """`texts`, which have no nulls, with the values of their tags."""
    offsets, _ = utf8(texts)
    first = offsets[tags.rows].astype(np.int64)
    values = pa.array(tags.values.tolist(), pa.string())
    texts = _spliced(texts, tags.rows, first + tags.begins, first + tags.ends, values)
    sizes = np.diff(utf8(values).offsets).astype(np.int64)
    growth = np.concatenate([[0], np.cumsum(sizes - (tags.ends - tags.begins))])
    begins = tags.begins + growth[:-1] - growth[np.searchsorted(tags.rows, tags.rows)]
    names = pa.array(list(kinds), pa.string()).take(pa.array(tags.kinds))
    bounds = (pa.array(each.astype(np.int32)) for each in (begins, begins + sizes))
    rows = np.searchsorted(tags.rows, np.arange(len(texts) + 1)).astype(np.int32)
    structs = pa.StructArray.from_arrays([*bounds, names], fields=list(SPANS.value_type))
    return Stored(texts, pa.ListArray.from_arrays(pa.array(rows), structs, type=SPANS))


def as_tags(texts: pa.StringArray, spans: pa.ListArray) -> pa.StringArray:
    """Stored texts with `[KIND]` where values stand: the same whatever the mode and the key."""
    if not (flat := spans.flatten()):
        return texts
    rows = pc.list_parent_indices(spans).to_numpy().astype(np.int64)
    first = utf8(texts).offsets[rows].astype(np.int64)
    begins, ends = (flat.field(name).to_numpy().astype(np.int64) for name in ("begin", "end"))
    tags = pc.binary_join_element_wise("[", pc.utf8_upper(flat.field("kind")), "]", "")
    return _spliced(texts, rows, first + begins, first + ends, tags)


def compared(batch: pa.RecordBatch) -> pa.StringArray:
    """The texts of stored documents as everything that compares them sees them: with tags."""
    if COLUMN not in batch.schema.names:
        return batch["text"]
    return as_tags(batch["text"], batch[COLUMN])


def with_tags(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Stored documents with `compared` texts."""
    if COLUMN not in batch.schema.names:
        return batch
    place = batch.schema.get_field_index("text")
    return batch.set_column(place, batch.schema.field("text"), compared(batch))


def _spliced(
    texts: pa.StringArray,
    rows: NDArray[np.int64],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    values: pa.StringArray,
) -> pa.StringArray:
    """The texts with bytes begin to end of the buffer replaced, which are in these rows.

    Unlike `spans.replace_spans` it is told the rows, since an empty span at the end of a row is
    where the next one begins.
    """
    offsets, data = utf8(texts)
    new_offsets, new_data = utf8(values)
    size = int(offsets[-1] - offsets[0]) - int((ends - begins).sum())
    size += int(new_offsets[-1] - new_offsets[0])
    assert size <= MAX_ARRAY_BYTES, f"a batch of {size} bytes does not fit a string array"
    out, out_offsets = np.empty(size, np.uint8), np.zeros_like(offsets)
    _splice_rows(offsets, data, rows, begins, ends, new_offsets, new_data, out, out_offsets)
    return strings(out_offsets, out)


@njit(cache=True, nogil=True)
def _splice_rows(offsets, data, rows, begins, ends, new_offsets, new_data, out, out_offsets):  # type: ignore[no-untyped-def]
    span, w = 0, np.int64(0)
    for row in range(len(offsets) - 1):
        i = np.int64(offsets[row])
        while span < len(rows) and rows[span] == row:
            w = _copy(data, i, begins[span], out, w)
            w = _copy(new_data, new_offsets[span], new_offsets[span + 1], out, w)
            i = ends[span]
            span += 1
        w = _copy(data, i, np.int64(offsets[row + 1]), out, w)
        out_offsets[row + 1] = w


@njit(cache=True, nogil=True)
def _copy(source, begin, end, out, w):  # type: ignore[no-untyped-def]
    """Where the bytes end that are copied to w."""
    out[w : w + end - begin] = source[begin:end]
    return w + end - begin
