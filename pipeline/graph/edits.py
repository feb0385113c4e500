"""The graph of `edits`: what repeats across documents, found before anything is measured.

scan_item     a few work items of `refine`: read, clean, anonymise, then the rows of their lines,
              paragraphs and substrings, 32 to 48 bytes each
FindRepeats   partitions of these rows by hash; GroupByKey over (partition, Arrow batch); never
              a text
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import pyarrow as pa

from pipeline.arrow import num_value_bytes
from pipeline.edits.config import EditsConfig, SubstringsConfig
from pipeline.edits.group import Group, rows_of
from pipeline.edits.substrings import CutRows, united
from pipeline.edits.table import COLUMNS, KINDS, ROWS, batches, column_type
from pipeline.edits.units import UnitRows, keepers
from pipeline.files import arrow_writer
from pipeline.graph.refine import read_rows
from pipeline.plan import Plan, TextItem
from pipeline.records import Record, fingerprint
from pipeline.refining import build_refinery
from pipeline.sources.coalesce import coalesce

REPEATS_FOLDER = "repeats"  # of the partitions, in the table's folder


@dataclass(frozen=True, slots=True)
class ScanItem:
    """Consecutive work items whose texts are compared with each other."""

    items: tuple[TextItem, ...]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class RepeatRange:
    """Partitions `first:last` of `num_partitions` of the range of hashes, of one kind."""

    folder: str  # of the table, relative to the output directory
    kind: str
    first: int
    last: int
    num_partitions: int
    fingerprint: str


def kinds_of(config: EditsConfig) -> list[str]:
    """What is asked for."""
    return [kind for kind in KINDS if getattr(config, kind) is not None]


def group_bytes(config: EditsConfig) -> int:
    """UTF-8 bytes of text in a group."""
    return int((config.substrings or SubstringsConfig()).group_bytes)


def scan_item(item: ScanItem, plan: Plan) -> Record:
    """Write the rows of all groups of one item, a file for each kind."""
    started = time.monotonic()
    config = plan.manifest.edits
    assert config is not None
    kinds = kinds_of(config)
    paths = {
        kind: plan.out / "edits" / "scan" / f"{item.fingerprint}.{kind}.arrow" for kind in kinds
    }
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        writers = {
            kind: stack.enter_context(arrow_writer(paths[kind], _schema(ROWS[kind])))
            for kind in kinds
        }
        for group in _groups(item, plan, group_bytes(config)):
            found = rows_of(group, config, plan.manifest.dedup.survivor)
            counts["num_bytes"] += sum(int(num_value_bytes(t).sum()) for _, _, t in group.parts)
            for kind in kinds:
                for rows in found[kind]:
                    writers[kind].write_batch(pa.RecordBatch.from_pydict(rows._asdict()))
                    counts[kind] += len(rows.key)
    seconds = time.monotonic() - started
    return plan.records("scan").commit(item.fingerprint, paths, counts, seconds)


def _schema(names: Iterable[str]) -> pa.Schema:
    return pa.schema([(name, pa.from_numpy_dtype(column_type(name))) for name in names])


def _groups(item: ScanItem, plan: Plan, num_bytes: int) -> Iterator[Group]:
    """The texts in groups of at most `num_bytes`, a larger text being one by itself.

    Cut between documents, so that a group does not depend on how these came in batches.
    """
    group, left = Group([]), num_bytes
    for source, texts in _texts(item, plan):
        priority = plan.source(source).priority
        ends = np.cumsum(num_value_bytes(texts))
        first, done = 0, 0
        while first < len(texts):
            last = int(np.searchsorted(ends, done + left, "right"))
            if last == first and left == num_bytes:
                last += 1
            if last > first:
                group.parts.append((source, priority, texts.slice(first, last - first)))
                left -= int(ends[last - 1]) - done
                first, done = last, int(ends[last - 1])
            if first < len(texts):
                yield group
                group, left = Group([]), num_bytes
    if group.parts:
        yield group


def _texts(item: ScanItem, plan: Plan) -> Iterator[tuple[str, pa.StringArray]]:
    """The texts before edits, as `refine` will have them."""
    for each in item.items:
        refinery = build_refinery(plan, each.source)
        for rows in coalesce(read_rows(each, plan)):
            yield each.source, refinery.anonymised(rows.documents).documents["text"]


class FindRepeats(beam.PTransform):  # type: ignore[misc]  # Beam ships no types
    """PCollection[RepeatRange] -> PCollection[Record], a record per partition."""

    def __init__(self, plan: Plan, folder: str, kind: str, num_partitions: int) -> None:
        super().__init__(label=f"FindRepeats-{kind}")
        self._plan = plan
        self._arguments = {"folder": folder, "kind": kind, "num_partitions": num_partitions}

    def expand(self, ranges: beam.PCollection) -> beam.PCollection:
        rows = tuple[int, pa.RecordBatch]  # declared, so that Arrow IPC is the coder, not pickle
        return (
            ranges
            | "ListFiles" >> beam.FlatMap(_files_of, plan=self._plan)
            | "ReadRows" >> beam.FlatMap(_rows_in, plan=self._plan).with_output_types(rows)
            | "GroupByPartition" >> beam.GroupByKey()
            | "Decide" >> beam.Map(_decide, plan=self._plan, **self._arguments)
        )


def partition_fingerprint(folder: str, kind: str, partition: int, num_partitions: int) -> str:
    """Names the record of one partition."""
    return fingerprint(folder, kind, partition, num_partitions)


def _files_of(item: RepeatRange, plan: Plan) -> Iterator[tuple[RepeatRange, str]]:
    files = json.loads((plan.out / item.folder / "files.json").read_text(encoding="utf-8"))
    for path in files[item.kind]:
        yield item, path


def _rows_in(element: tuple[RepeatRange, str], plan: Plan) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of one file that fall into a range: of its batches, which are sorted, slices.

    Each partition of the range gets a batch, if an empty one, so that each leaves a record.
    """
    item, path = element
    for number in range(item.first, item.last):
        yield number, pa.RecordBatch.from_pylist([], schema=_schema(ROWS[item.kind]))
    for batch in batches(plan.out / path):
        places = _partitions(batch["key"].to_numpy(), item.num_partitions)
        bounds = np.searchsorted(places, np.arange(item.first, item.last + 1, dtype=np.uint64))
        for index in range(item.last - item.first):
            first, last = int(bounds[index]), int(bounds[index + 1])
            if last > first:
                yield item.first + index, batch.slice(first, last - first)


def _partitions(keys: np.ndarray, num_partitions: int) -> np.ndarray:
    """By the upper half of a key, so that the partitions in order are sorted."""
    scaled: np.ndarray = (keys >> np.uint64(32)) * np.uint64(num_partitions) >> np.uint64(32)
    return scaled


def _decide(
    group: tuple[int, Iterable[pa.RecordBatch]],
    plan: Plan,
    folder: str,
    kind: str,
    num_partitions: int,
) -> Record:
    """What is cut because of the rows of one partition."""
    started = time.monotonic()
    partition, parts = group
    table = pa.Table.from_batches(list(parts))
    columns = {name: table[name].to_numpy() for name in ROWS[kind]}
    if kind == "substrings":
        found = united(CutRows(**columns))._asdict()
    else:
        config = getattr(plan.manifest.edits, kind)
        found = keepers(UnitRows(**columns), config.max_documents)._asdict()
    name = partition_fingerprint(folder, kind, partition, num_partitions)
    path = plan.out / folder / REPEATS_FOLDER / f"{name}.arrow"
    with arrow_writer(path, _schema(COLUMNS[kind])) as writer:
        writer.write_batch(pa.RecordBatch.from_pydict(found))
    counts = {"partition": partition, "num_rows": len(found["key"])}
    seconds = time.monotonic() - started
    return plan.records("repeats").commit(name, {kind: path}, counts, seconds)
