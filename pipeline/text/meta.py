"""The map of a document's meta values: its entries as columns, and back."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class Entries(NamedTuple):
    """The entries of all maps in order; a null map has none."""

    rows: np.ndarray  # int64: the number of the map
    names: pa.StringArray
    items: pa.StringArray


def with_meta(meta: pa.MapArray, values: pa.RecordBatch) -> pa.MapArray:
    """`meta` with the columns of `values` as further entries, one row of it for each map.

    A null adds nothing, a map without entries and without a value to add stays as it is, null too.
    An entry of that name gives way. Returns `meta` itself where there is nothing to add.
    """
    if all(column.null_count == len(column) for column in values.columns):
        return meta
    rows, names, items = entries(meta)
    replaced = np.zeros(len(rows), np.bool_)
    parts = [Entries(rows, names, items)]
    for name, column in zip(values.schema.names, values.columns, strict=True):
        given = column.is_valid().to_numpy(zero_copy_only=False)
        is_name = pc.equal(names, name).to_numpy(zero_copy_only=False)
        replaced |= is_name & given[rows]
        repeated = pa.repeat(pa.scalar(name), int(given.sum()))
        parts.append(Entries(np.flatnonzero(given), repeated, column.drop_null()))
    stays = pa.array(~replaced)
    parts[0] = Entries(rows[~replaced], names.filter(stays), items.filter(stays))
    return of_entries(meta, *parts)


def entries(meta: pa.MapArray) -> Entries:
    """The entries of the maps, of string keys and string items."""
    sizes = pc.fill_null(pc.list_value_length(_as_list(meta)), 0).to_numpy(zero_copy_only=False)
    flat = _as_list(meta).flatten()
    return Entries(np.repeat(np.arange(len(meta)), sizes), flat.field(0), flat.field(1))


def _as_list(meta: pa.MapArray) -> pa.ListArray:
    kind = meta.type
    entry = pa.struct([pa.field("key", kind.key_type, nullable=False), ("value", kind.item_type)])
    return meta.cast(pa.list_(pa.field("entries", entry, nullable=False)))


def of_entries(meta: pa.MapArray, *parts: Entries) -> pa.MapArray:
    """Maps of these entries, those of one map in the order of the parts; null where there is none
    and `meta` is null."""
    rows = np.concatenate([part.rows for part in parts])
    order = np.argsort(rows, kind="stable")
    names = pa.concat_arrays([part.names for part in parts]).take(pa.array(order))
    items = pa.concat_arrays([part.items for part in parts]).take(pa.array(order))
    sizes = np.bincount(rows, minlength=len(meta))
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    is_null = meta.is_null().to_numpy(zero_copy_only=False) & (sizes == 0)
    return pa.MapArray.from_arrays(
        pa.array(offsets), names, items, type=meta.type, mask=pa.array(is_null)
    )
