"""What overlaps with which item: from the columns of the refined files, no text is touched.

    OUT/decontamination.json
    {"sets": [{"name", "action", "ngram", "min_overlap",
               "num_items", "num_ngrams", "num_documents": {source: documents that match},
               "num_below_overlap": documents that share n-grams, but fewer than asked for,
               "num_matched_items", "items": {number: {"id", "num_documents", "documents": [...]}},
               "num_unmatchable_items", "unmatchable_items": [ids]}]}

Of an item's documents at most 5 are named, those with the most n-grams of the set first, then in
the order they were read. Documents are those that `refine` read: a filter or a duplicate may have
taken one too. Items without a document are left out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.decontamination.config import EvaluationSet
from pipeline.decontamination.match import PREFIX
from pipeline.decontamination.sets import FOLDER
from pipeline.decontamination.table import NgramTable
from pipeline.files import write_json
from pipeline.plan import Plan, RefineItem
from pipeline.records import Record
from pipeline.refined import RowReader
from pipeline.refining import ITEM_ROW

NAME = "decontamination.json"
MAX_DOCUMENTS = 5  # named for each item

Report = dict[str, Any]


@dataclass(slots=True)
class SetCounts:
    """What has been found of one set so far. Bounded by its items, not by the documents."""

    num_documents: Counter[str] = field(default_factory=Counter)  # by source
    num_below_overlap: int = 0
    num_by_item: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    # Of each item the documents to be named: item, -n-grams, work item, row in it; and their ids.
    order: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.int64))
    names: np.ndarray = field(default_factory=lambda: np.zeros(0, np.object_))

    def add(self, source: str, place: int, batch: pa.RecordBatch) -> None:
        """Documents of one work item: `id`, `item_row`, `num_ngrams`, `items`."""
        is_hit = pc.greater(batch["num_ngrams"], 0)
        found = batch.filter(is_hit)
        num_items = pc.list_value_length(found["items"]).to_numpy()
        self.num_documents[source] += int((num_items > 0).sum())
        self.num_below_overlap += int((num_items == 0).sum())
        items = found["items"].flatten().to_numpy()
        if not len(items):
            return
        np.add.at(self.num_by_item, items, 1)
        rows = np.repeat(np.arange(len(num_items)), num_items)
        ngrams = -found["num_ngrams"].to_numpy()[rows]
        order = np.stack(
            [items, ngrams, np.full(len(rows), place), found[ITEM_ROW].to_numpy()[rows]], axis=1
        )
        names = np.array(found["id"].to_pylist(), np.object_)[rows]
        self._keep_first(np.concatenate([self.order, order]), np.concatenate([self.names, names]))

    def _keep_first(self, order: np.ndarray, names: np.ndarray) -> None:
        """MAX_DOCUMENTS of each item."""
        by = np.lexsort(order.T[::-1])
        order, names = order[by], names[by]
        starts = np.searchsorted(order[:, 0], order[:, 0])
        first = np.arange(len(order)) - starts < MAX_DOCUMENTS
        self.order, self.names = order[first], names[first]


def write_report(
    plan: Plan, items: Sequence[RefineItem], refined: Mapping[str, Record]
) -> list[Report]:
    """Write the report and return its sets; without any, there is no report."""
    target = plan.out / NAME
    if plan.evaluation_sets is None:
        target.unlink(missing_ok=True)
        return []
    table = NgramTable.load(plan.out / FOLDER, plan.evaluation_sets)
    sets = plan.manifest.decontaminate
    sizes = [_num_items(table, place) for place in range(len(sets))]
    counts = [SetCounts(num_by_item=np.zeros(size, np.int64)) for size in sizes]
    sources = [item.source for item in items]
    for place, item in enumerate(items):
        outputs = refined[item.fingerprint]["outputs"]
        for kind in ("kept", "dropped"):
            _add_file(sets, counts, item.source, place, plan.out / outputs[kind]["path"])
    reports = [
        _report(table, place, sets[place], counts[place], sources) for place in range(len(sets))
    ]
    write_json(target, {"sets": reports})
    return reports


def _add_file(
    sets: Iterable[EvaluationSet], counts: Iterable[SetCounts], source: str, place: int, path: Path
) -> None:
    for one, found in zip(sets, counts, strict=True):
        columns = [f"{PREFIX}.{one.name}.{name}" for name in ("num_ngrams", "items")]
        for batch in RowReader(path, "id", ITEM_ROW, *columns).batches():
            names = ["id", ITEM_ROW, *columns]
            chosen = batch.select(names).rename_columns(["id", ITEM_ROW, "num_ngrams", "items"])
            found.add(source, place, chosen)


def _report(
    table: NgramTable, place: int, config: EvaluationSet, found: SetCounts, sources: list[str]
) -> Report:
    own = np.flatnonzero(table.column("set") == place)
    items, num_ngrams = table.column("item")[own], table.column("num_ngrams")[own]
    first = own[np.searchsorted(items, np.arange(len(found.num_by_item)))]
    ids = table.passages["id"].take(pa.array(first)).to_pylist()
    can_match = np.bincount(items, weights=num_ngrams, minlength=len(ids)) > 0
    unmatchable = [ids[n] for n in np.flatnonzero(~can_match)]
    return {
        **config.model_dump(mode="json", include={"name", "action", "ngram", "min_overlap"}),
        "num_items": len(ids),
        "num_ngrams": int(num_ngrams.sum()),
        "num_documents": {name: found.num_documents[name] for name in dict.fromkeys(sources)},
        "num_below_overlap": found.num_below_overlap,
        "num_matched_items": int((found.num_by_item > 0).sum()),
        "items": _named_items(found, ids, sources),
        "num_unmatchable_items": len(unmatchable),
        "unmatchable_items": unmatchable,
    }


def _named_items(found: SetCounts, ids: list[str], sources: list[str]) -> dict[str, Any]:
    named: dict[int, list[dict[str, Any]]] = {}
    for (item, ngrams, place, _), name in zip(found.order.tolist(), found.names, strict=True):
        document = {"source": sources[place], "id": name, "num_ngrams": -ngrams}
        named.setdefault(item, []).append(document)
    return {
        str(item): {
            "id": ids[item],
            "num_documents": int(found.num_by_item[item]),
            "documents": documents,
        }
        for item, documents in named.items()
    }


def _num_items(table: NgramTable, place: int) -> int:
    return int(table.column("item")[table.column("set") == place].max()) + 1
