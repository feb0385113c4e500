"""Rows of the refined files of an output, found by their names or keys and read together.

Each question is one pass over the columns that it asks about, however many documents it is of.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.erasing.key_digits import KeyDigits
from pipeline.erasing.raw import id_fields, raw_ids
from pipeline.errors import UsageError
from pipeline.explaining.finding import DOCUMENTS, KINDS
from pipeline.explaining.output import Output
from pipeline.refined import RowReader

PLACE = re.compile(r"(.+)#(\d{1,18})", re.DOTALL)


class Spot(NamedTuple):
    """A row of one refined file: number of its item, kept, dropped or quarantined, row."""

    number: int
    kind: str
    row: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Names that are looked for: as ids, as `<path>#<row>`, and as digits of keys."""

    names: frozenset[str]
    keys: KeyDigits
    ids: pa.StringArray
    paths: pa.StringArray
    rows: pa.Int64Array

    @classmethod
    def of(cls, names: Iterable[str]) -> "Wanted":
        known = frozenset(names)
        places = [match for name in known if (match := PLACE.fullmatch(name))]
        return cls(
            known,
            KeyDigits.of(known),
            pa.array(sorted(known), pa.string()),
            pa.array(sorted({match[1] for match in places}), pa.string()),
            pa.array(sorted({int(match[2]) for match in places}), pa.int64()),
        )

    def rows_of(
        self, batch: pa.RecordBatch, field: str | None = None
    ) -> Iterator[tuple[int, set[str]]]:
        """Rows of a batch with `source_path` and `source_row`, and their names.

        An id is that of `id`, or, of quarantined rows, the one in `raw` under the name `field`.
        """
        ids = _ids(batch, field)
        mask = pc.and_(
            pc.is_in(batch["source_path"], value_set=self.paths),
            pc.is_in(batch["source_row"], value_set=self.rows),
        )
        mask = pc.or_(mask, pc.is_in(ids, value_set=self.ids))
        rows = np.flatnonzero(mask.to_numpy(zero_copy_only=False))
        taken = pa.array(rows)
        columns = (batch["source_path"], batch["source_row"], ids)
        hits = zip(*(column.take(taken).to_pylist() for column in columns), strict=True)
        for row, (path, number, name) in zip(rows.tolist(), hits, strict=True):
            called = {f"{path}#{number}", name} & self.names
            if called:
                yield row, called


def _ids(batch: pa.RecordBatch, field: str | None) -> pa.StringArray:
    if "id" in batch.schema.names:
        return batch["id"]
    if field is not None and "raw" in batch.schema.names:
        return raw_ids(batch["raw"], field)
    return pa.nulls(batch.num_rows, pa.string())


def find_all(output: Output, names: Sequence[str], source: str | None) -> dict[str, list[Spot]]:
    """The documents of each name: by id or place, else by the key.

    Raises `UsageError` for an unknown source, and for the first digits of several keys.
    """
    found: dict[str, dict[Spot, None]] = {name: {} for name in names}
    wanted, fields = Wanted.of(found), id_fields(output.plan.manifest)
    for item in output.items_of(source):
        for kind in KINDS:
            columns = ["source_path", "source_row", "id" if kind in DOCUMENTS else "raw"]
            for first, batch in _batches(output, item.number, kind, columns):
                for row, called in wanted.rows_of(batch, fields.get(item.source)):
                    for name in called:
                        found[name][Spot(item.number, kind, first + row)] = None
    keys = _by_key(output, [name for name in found if not found[name]], source)
    return {name: [*spots, *keys.get(name, ())] for name, spots in found.items()}


def _by_key(output: Output, names: Sequence[str], source: str | None) -> dict[str, list[Spot]]:
    """The documents whose keys begin with these digits, one each."""
    found: dict[str, list[Spot]] = {}
    wanted = KeyDigits.of(names)
    for item in output.items_of(source) if wanted.names else ():
        for kind in DOCUMENTS:
            for first, batch in _batches(output, item.number, kind, ["key"]):
                for row, called in wanted.rows_of(batch["key"]):
                    for name in called:
                        found.setdefault(name, []).append(Spot(item.number, kind, first + row))
    for name, spots in found.items():
        if len(spots) > 1:
            raise UsageError(
                f"--ids: {name} begins {len(spots)} keys; want more of its digits, all 32 for "
                "one document"
            )
    return found


def spots_with(
    output: Output, column: str, values: pa.Array, sources: Iterable[str] | None = None
) -> list[Spot]:
    """The kept and dropped documents of which a column is one of `values`."""
    spots = []
    for item in output.items if len(values) else ():
        for kind in DOCUMENTS if sources is None or item.source in sources else ():
            for first, batch in _batches(output, item.number, kind, [column]):
                mask = pc.is_in(batch[column], value_set=values).to_numpy(zero_copy_only=False)
                rows = (np.flatnonzero(mask) + first).tolist()
                spots += [Spot(item.number, kind, row) for row in rows]
    return spots


def _batches(
    output: Output, number: int, kind: str, columns: Sequence[str]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The record batches of one file, each with the number of its first row."""
    item, first = output.items[number], 0
    if item.num_documents[kind]:
        for batch in RowReader(item.paths[kind], *columns).batches():
            yield first, batch
            first += batch.num_rows


def read_spots(
    output: Output, spots: Iterable[Spot], columns: Sequence[str]
) -> Iterator[tuple[list[Spot], pa.RecordBatch]]:
    """Columns of some rows, file by file; a column that a file has not is left out."""
    files: dict[tuple[int, str], list[Spot]] = {}
    for spot in sorted(set(spots)):
        files.setdefault((spot.number, spot.kind), []).append(spot)
    for (number, kind), own in files.items():
        path = output.items[number].paths[kind]
        names = [name for name in columns if name in RowReader(path).schema.names]
        reader, rows = RowReader(path, *names), np.array([spot.row for spot in own])
        arrays = [reader.take(rows, name) for name in names]
        yield own, pa.RecordBatch.from_arrays(arrays, names=names)


def values_of(output: Output, spots: Iterable[Spot], *columns: str) -> dict[Spot, tuple[Any, ...]]:
    """The same as Python values; None for a column that a file has not."""
    found: dict[Spot, tuple[Any, ...]] = {}
    for own, batch in read_spots(output, spots, columns):
        nothing = [None] * len(own)
        values = [batch[c].to_pylist() if c in batch.schema.names else nothing for c in columns]
        found |= dict(zip(own, zip(*values, strict=True), strict=True))
    return found
