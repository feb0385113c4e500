"""Another try at the items that hold quarantined rows, and what became of each row.

The plan of the latest run is run again and takes them for not done, under whatever thresholds:
they are read again, and what depends on them follows by its fingerprints; if their rows are the
same as before, nothing does. Files that hold such rows are hashed again and may have changed, or be
gone; no others. No record is taken away before another one stands in its place, so that an output
is what it was where a retry is refused, stops or is killed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.explaining.output import Item, Output, doc_number, open_output
from pipeline.quarantine.latest import Latest, open_latest
from pipeline.quarantine.rows import QuarantinedRow, Selection, rows
from pipeline.records import Record
from pipeline.refined import RowReader
from pipeline.run import run
from pipeline.stage import Context

KEPT, DROPPED, REMOVED, QUARANTINED, GONE = "kept", "dropped", "removed", "quarantined", "gone"

RowKey = tuple[str, str, int]  # source, file, row
PLACE = ("source", "source_path", "source_row")


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one row: KEPT, DROPPED or REMOVED by the rule `why`, QUARANTINED for the
    reason `why`, or GONE: no row begins at this place any more.
    """

    before: QuarantinedRow
    fate: str
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Retried:
    """What a retry did."""

    fates: list[Fate]
    num_items: int  # that were read again
    num_new: int  # quarantined rows of them where none was before


def retried(
    context: Context, latest: Latest, selection: Selection, *, refresh: bool = False
) -> Retried:
    """Read the items that hold the selected rows again, and do what follows."""
    before = list(rows(latest, selection))
    records = selection.records(latest)
    places = {(row.source, row.file) for row in before}
    if not before:
        return Retried([], 0, 0)
    again = frozenset(record["measured"] for record in records)
    may_change = None if refresh else frozenset(places)
    run(replace(context, may_change=may_change, again=again))
    return _told(before, latest, records)


def _told(before: list[QuarantinedRow], latest: Latest, records: Sequence[Record]) -> Retried:
    output = open_output(latest.plan.out)
    again = {record["fingerprint"] for record in records}
    old = {record["fingerprint"] for record in latest.records} - again
    items = [item for item in output.items if fingerprint_of(item) not in old]
    wanted = {_key(row) for row in before}
    found: dict[RowKey, tuple[str, str | None]] = {}
    now = open_latest(latest.plan.out)
    done = [record for record in now.records if record["fingerprint"] not in old]
    num_quarantined = 0
    for row in rows(replace(now, records=tuple(done)), Selection()):
        found[_key(row)] = (QUARANTINED, row.reason)
        num_quarantined += _key(row) not in wanted
    for item in items:
        found |= dict(_documents(output, item, wanted))
    fates = [Fate(row, *found.get(_key(row), (GONE, None))) for row in before]
    return Retried(fates, len(items), num_quarantined)


def _key(row: QuarantinedRow) -> RowKey:
    return row.source, row.file, row.row


def fingerprint_of(item: Item) -> str:
    """The fingerprint of a refined item, which its files are named after."""
    return item.paths["kept"].name.partition(".")[0]


def _documents(
    output: Output, item: Item, wanted: set[RowKey]
) -> Iterator[tuple[RowKey, tuple[str, str | None]]]:
    """The documents of an item that stand where wanted rows stood."""
    own = {key for key in wanted if key[0] == item.source}
    for number, key in _matching(item.paths["kept"], own):
        place = np.searchsorted(output.removed_docs, doc := doc_number(item, number))
        is_removed = place < len(output.removed_docs) and output.removed_docs[place] == doc
        rule = output.removals["rule"][int(place)].as_py() if is_removed else None
        yield key, (REMOVED if is_removed else KEPT, rule)
    rules = RowReader(item.paths["dropped"], "rule")
    for number, key in _matching(item.paths["dropped"], own):
        yield key, (DROPPED, rules.take(np.array([number]), "rule")[0].as_py())


def _matching(path: Path, wanted: set[RowKey]) -> Iterator[tuple[int, RowKey]]:
    """The documents that stand at wanted places, by their number in the file."""
    files = pa.array(sorted({file for _, file, _ in wanted}), pa.string())
    places = pa.array(sorted({row for *_, row in wanted}), pa.int64())
    first = 0
    for batch in RowReader(path, "source", "source_path", "source_row").batches():
        mask = pc.and_(pc.is_in(batch["source_path"], files), pc.is_in(batch["source_row"], places))
        some = batch.filter(mask)
        keys = zip(*(some[name].to_pylist() for name in PLACE), strict=True)
        numbers = np.flatnonzero(mask.to_numpy(zero_copy_only=False)) + first
        for number, key in zip(numbers.tolist(), keys, strict=True):
            if key in wanted:
                yield number, key
        first += batch.num_rows
