"""Rows without what an erased document was: they stay in their place, and hold nothing of it.

So the numbers of all other documents, by which tables refer to each other, stay true. All arrays
are made anew with `take`, which leaves zeros under a null where a mask would leave the old value.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Of a refined row: whose it was, its number in its work item, why it was dropped or quarantined.
STAY = ("source", "item_row", "rule", "reason", "stage")
NO_ROW = -1


def blank_documents(batch: pa.RecordBatch, mask: np.ndarray) -> pa.RecordBatch:
    """Rows of a kept, dropped or quarantined file: empty text, row -1, all else null."""
    columns = [
        column if field.name in STAY else _blank(column, field, mask)
        for column, field in zip(batch.columns, batch.schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _blank(column: pa.Array, field: pa.Field, mask: np.ndarray) -> pa.Array:
    taken = nulled(column, mask)
    if field.name == "source_row":
        return pc.fill_null(taken, NO_ROW)
    if field.nullable and field.name not in ("text", "source_path", "detail"):
        return taken
    if pa.types.is_nested(field.type):
        empty = pa.array([[]], field.type)
        return pa.concat_arrays([column, empty]).take(pa.array(_or(mask, len(column))))
    return pc.fill_null(taken, "" if pa.types.is_string(field.type) else 0)


def _or(mask: np.ndarray, other: int) -> np.ndarray:
    """Every row by its number, but another one where the mask says so."""
    return np.where(mask, other, np.arange(len(mask)))


def nulled(column: pa.Array, mask: np.ndarray) -> pa.Array:
    """The column with nulls where the mask is true, and nothing under them."""
    return column.take(pa.array(np.where(mask, 0, np.arange(len(mask))), mask=mask))


def blank_signatures(batch: pa.RecordBatch, mask: np.ndarray) -> pa.RecordBatch:
    """Rows of a signature file: ranks and hash 0, no bands and no minhashes."""
    columns = []
    for column, field in zip(batch.columns, batch.schema, strict=True):
        if not pa.types.is_fixed_size_list(field.type):
            columns.append(pc.fill_null(nulled(column, mask), 0))
            continue
        width = field.type.list_size
        values = np.array(_flat(column))
        values.reshape(-1, width)[mask] = 0
        nulls = column.is_null().to_numpy(zero_copy_only=False) | mask
        flat = pa.array(values, field.type.value_type)
        columns.append(pa.FixedSizeListArray.from_arrays(flat, width, mask=pa.array(nulls)))
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _flat(column: pa.FixedSizeListArray) -> np.ndarray:
    """The values of all rows, those under nulls as well."""
    width = column.type.list_size
    values = column.values.slice(column.offset * width, len(column) * width)
    flat: np.ndarray = values.to_numpy(zero_copy_only=False)
    return flat


def blank_tokens(batch: pa.RecordBatch, mask: np.ndarray, pad_id: int) -> pa.RecordBatch:
    """Rows of a token file: as many pad ids, none to be learned, a key and a hash of zeros."""
    columns = []
    for column, field in zip(batch.columns, batch.schema, strict=True):
        if pa.types.is_large_list(field.type):
            filler = pad_id if field.name == "tokens" else 0
            columns.append(_filled(column, mask, filler))
        elif pa.types.is_fixed_size_binary(field.type):
            columns.append(zeroed(column, mask))
        else:
            columns.append(pc.fill_null(nulled(column, mask), 0))
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def zeroed(keys: pa.FixedSizeBinaryArray, mask: np.ndarray) -> pa.FixedSizeBinaryArray:
    """Keys with 16 zero bytes where the mask is true."""
    zeros = pa.array([bytes(16)], keys.type)
    return pa.concat_arrays([keys, zeros]).take(pa.array(_or(mask, len(keys))))


def _filled(lists: pa.LargeListArray, mask: np.ndarray, filler: int) -> pa.LargeListArray:
    offsets = lists.offsets.to_numpy()
    values = np.array(lists.values.to_numpy()[offsets[0] : offsets[-1]])
    offsets = offsets - offsets[0]
    for row in np.flatnonzero(mask).tolist():
        values[offsets[row] : offsets[row + 1]] = filler
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values), type=lists.type)


def blank_removals(
    table: pa.RecordBatch, removed: np.ndarray, survivors: np.ndarray
) -> pa.RecordBatch:
    """Rows of a removal table: no key of what was removed, or of what stayed.

    A survivor in another corpus may have the id of what was removed, so that goes with either.
    """
    masks = {
        **dict.fromkeys(("key", "text_hash"), removed),
        "survivor_key": survivors,
        "survivor_id": removed | survivors,
    }
    return _with_nulls(table, masks)


def _with_nulls(batch: pa.RecordBatch, masks: dict[str, np.ndarray]) -> pa.RecordBatch:
    none = np.zeros(batch.num_rows, np.bool_)
    columns: Sequence[pa.Array] = [
        nulled(column, masks.get(name, none))
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)
