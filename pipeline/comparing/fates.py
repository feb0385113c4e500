"""What became of each document of an output, and of the same document in another one.

A document is the same where source, path and row are: the place it was read from. Where the outputs
have no place in common, as their manifests lie in different folders, it is the same where source
and id are. Columns only: no text is read, about 200 bytes a document are held, one source at a
time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.explaining.output import Item, Output, split_docs
from pipeline.refined import RowReader

KEPT = "packed"
NOT_READ = "not read"
By = Literal["place", "id"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Moves:
    """Documents that both outputs read or only one did, by what became of them in each.

    `table`: fate_a, fate_b, num_documents, and an id or place of some, `examples`.
    """

    source: str
    by: By | None  # None: no document is known in both
    table: pa.Table


def moves(a: Output, b: Output, source: str) -> Moves:
    """Of one source. What is in neither output's files, such as an erased row, is left out.

    Where one of the outputs has not the source, or no document of it, the other one's were not
    read there.
    """
    first, second = (_fates_in(output, source) for output in (a, b))
    if not (len(first) and len(second)):
        return Moves(source=source, by="place", table=_joined(first, second))
    for by in ("place", "id"):
        left, right = _keyed(first, by), _keyed(second, by)
        if pc.any(pc.is_in(left["key"], right["key"])).as_py():
            return Moves(source=source, by=by, table=_joined(left, right))
    return Moves(source=source, by=None, table=_joined(first.slice(0, 0), second.slice(0, 0)))


def _fates_in(output: Output, source: str) -> pa.Table:
    return fates(output, source) if source in output.sources else _no_fates()


def fates(output: Output, source: str) -> pa.Table:
    """place, id, fate of every document that was read and is not erased."""
    parts = [part for item in output.items_of(source) for part in _of_item(output, item)]
    return pa.concat_tables(parts) if parts else _no_fates()


def _no_fates() -> pa.Table:
    return _table(_strings(), _strings(), _strings())


def _of_item(output: Output, item: Item) -> Iterator[pa.Table]:
    for kind in ("kept", "dropped", "quarantined"):
        names = ["source_path", "source_row"]
        names += ["id"] if kind != "quarantined" else ["reason"]
        names += ["rule"] if kind == "dropped" else []
        reader = RowReader(item.paths[kind], *names)
        batches = list(reader.batches())
        if not batches:
            continue
        rows = pa.Table.from_batches(batches)
        place = pc.binary_join_element_wise(
            rows["source_path"], pc.cast(rows["source_row"], pa.string()), "#"
        )
        ids = rows["id"] if kind != "quarantined" else pa.nulls(len(rows), pa.string())
        found = _table(place, ids, _fate(output, item, kind, rows))
        yield found.filter(pc.is_valid(found["place"]))  # an erased row has none


def _fate(output: Output, item: Item, kind: str, rows: pa.Table) -> pa.ChunkedArray | pa.Array:
    if kind == "quarantined":
        return pc.binary_join_element_wise("quarantined: ", rows["reason"], "")
    if kind == "dropped":
        return pc.binary_join_element_wise("dropped: ", rows["rule"], "")
    fate = np.full(len(rows), KEPT, dtype=object)
    numbers, places = split_docs(output.removed_docs)
    mine = np.flatnonzero(numbers == item.number)
    rules = output.removals["rule"].take(pa.array(mine))
    fate[places[mine]] = pc.binary_join_element_wise("removed: ", rules, "").to_numpy()
    return pa.array(fate, pa.string())


def _table(place: object, ids: object, fate: object) -> pa.Table:
    columns = {"place": place, "id": ids, "fate": fate}
    return pa.table({name: pc.cast(column, pa.string()) for name, column in columns.items()})


def _strings() -> pa.Array:
    return pa.array([], pa.string())


def _keyed(fates: pa.Table, by: str) -> pa.Table:
    """key, name, fate; of documents that share a key, which ids may, the first."""
    name = pc.coalesce(fates["id"], fates["place"])
    keyed = pa.table({"key": fates[by], "name": name, "fate": fates["fate"]})
    keyed = keyed.filter(pc.is_valid(keyed["key"]))
    if by == "place" or pc.count_distinct(keyed["key"]).as_py() == len(keyed):
        return keyed
    firsts = keyed.group_by("key", use_threads=False)
    return firsts.aggregate([("name", "first"), ("fate", "first")]).rename_columns(
        ["key", "name", "fate"]
    )


def _joined(left: pa.Table, right: pa.Table) -> pa.Table:
    """Counts of each pair of fates, with the first three names of each, in the order of names."""
    if "key" not in left.column_names:
        left, right = _keyed(left, "place"), _keyed(right, "place")
    both = left.join(right, "key", join_type="full outer", right_suffix="_b", use_threads=False)
    both = pa.table(
        {
            "fate_a": pc.fill_null(both["fate"], NOT_READ),
            "fate_b": pc.fill_null(both["fate_b"], NOT_READ),
            "name": pc.coalesce(both["name"], both["name_b"]),
        }
    ).sort_by("name")
    grouped = both.group_by(["fate_a", "fate_b"], use_threads=False)
    counted = grouped.aggregate([("name", "count"), ("name", "min"), ("name", "max")])
    counted = counted.rename_columns(["fate_a", "fate_b", "num_documents", "first", "last"])
    return counted.sort_by([("num_documents", "descending"), ("fate_a", "ascending")])
