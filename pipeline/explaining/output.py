"""A finished output directory, opened to be asked about its documents; nothing in it is changed.

Where a document stands is a number, as in the removal table: file << 32 | row, the file being the
place of its work item in OUT/run.json.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import PrepareError, UsageError
from pipeline.finished import check_finished, read_run
from pipeline.inputs import MANIFEST_NAME
from pipeline.manifest import load_manifest
from pipeline.plan import Fit, Plan
from pipeline.records import Record
from pipeline.refined import RowReader
from pipeline.removals import ROW_BITS
from pipeline.suggest import did_you_mean

ELSEWHERE = np.uint64(2**64 - 1)  # the survivor is in another corpus, of the index


@dataclass(frozen=True, slots=True)
class Item:
    """The refined files of one work item; `number` is that of its documents."""

    number: int
    source: str
    paths: dict[str, Path]  # by kind: kept, signatures, dropped, quarantined
    num_documents: dict[str, int]  # by kind: kept, dropped, quarantined
    num_erased: dict[str, int]  # of these, rows that hold nothing any more

    def num_left(self, kind: str) -> int:
        """Rows of a kind that are not erased."""
        return self.num_documents[kind] - self.num_erased.get(kind, 0)


@dataclass(frozen=True)
class Output:
    """What the last run of an output directory left behind."""

    plan: Plan  # with the thresholds that were fitted
    items: tuple[Item, ...]
    removals_path: Path

    @property
    def out(self) -> Path:
        return self.plan.out

    @property
    def sources(self) -> list[str]:
        return [source.name for source in self.plan.manifest.sources]

    def items_of(self, source: str | None) -> Iterator[Item]:
        """The items of one source, or of all. Raises `UsageError` for an unknown one."""
        self.check_source(source)
        return (item for item in self.items if source in (None, item.source))

    def check_source(self, source: str | None) -> None:
        """Raises `UsageError` unless there is such a source, or none is asked for."""
        if source is None or source in self.sources:
            return
        meant = did_you_mean(source, self.sources)
        raise UsageError(f"--source: got {source!r}{meant}, want one of {', '.join(self.sources)}")

    @cached_property
    def removals(self) -> pa.Table:
        """The removal table, memory-mapped."""
        return pa.ipc.open_file(pa.memory_map(str(self.removals_path))).read_all()

    @cached_property
    def removed_docs(self) -> np.ndarray:
        """The documents that deduplication removed, uint64, ascending."""
        docs: np.ndarray = self.removals["doc"].to_numpy()
        return docs

    @cached_property
    def survivor_docs(self) -> np.ndarray:
        """The survivor of each of them, uint64; `ELSEWHERE` where it is in another corpus."""
        docs: np.ndarray = pc.fill_null(self.removals["survivor_doc"], ELSEWHERE).to_numpy()
        if "corpus" in self.removals.column_names:
            elsewhere = self.removals["corpus"].is_valid().to_numpy(zero_copy_only=False)
            docs = np.where(elsewhere, ELSEWHERE, docs)
        return docs

    def read(self, docs: np.ndarray, *columns: str) -> dict[str, list[Any]]:
        """Columns of kept documents, in their order, each file read once; few documents."""
        unique, inverse = np.unique(docs, return_inverse=True)
        numbers, rows = split_docs(unique)
        pieces: dict[str, list[Any]] = {column: [] for column in columns}
        for number in np.unique(numbers):
            reader = RowReader(self.items[number].paths["kept"], *columns)
            for column in columns:
                pieces[column] += reader.take(rows[numbers == number], column).to_pylist()
        return {column: [values[place] for place in inverse] for column, values in pieces.items()}


def split_docs(docs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of items and rows in their files, int64 each."""
    numbers = (docs >> np.uint64(ROW_BITS)).astype(np.int64)
    rows = (docs & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64)
    return numbers, rows


def doc_number(item: Item, row: int) -> int:
    """The number of a kept document."""
    return item.number << ROW_BITS | row


def open_output(out: Path) -> Output:
    """The output of a finished run.

    Raises `UsageError` where there is none, `PrepareError` where files of it are gone.
    """
    check_finished(out)
    names = read_run(out, ("refine", "deduplicate"))
    manifest = load_manifest(out / MANIFEST_NAME)
    fits = tuple(Fit(**fit) for fit in names.get("fits", ()))
    plan = Plan(manifest, (out / names.get("base", ".")).resolve(), out.resolve(), fits)
    records = _records(plan, "refine", names["refine"])
    (removals,) = _records(plan, "deduplicate", names["deduplicate"])
    items = tuple(_item(plan, number, record) for number, record in enumerate(records))
    return Output(plan, items, plan.out / removals["outputs"]["removals"]["path"])


def _records(plan: Plan, stage: str, names: list[str]) -> list[Record]:
    found = [plan.records(stage).load(name) for name in names]
    records = [record for record in found if record is not None]
    if len(records) < len(found):
        raise PrepareError(
            f"{plan.out}: the files of {len(found) - len(records)} of {len(found)} items of "
            f"{stage} are gone or damaged; run `prepare run` again"
        )
    return records


def _item(plan: Plan, number: int, record: Record) -> Item:
    counts = record["counts"]
    return Item(
        number,
        record["source"],
        {kind: plan.out / output["path"] for kind, output in record["outputs"].items()},
        {
            "kept": counts["num_kept"],
            "dropped": sum(counts["dropped"].values()),
            "quarantined": sum(counts["quarantined"].values()),
        },
        record.get("erased", {}),
    )
