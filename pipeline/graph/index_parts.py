"""The files of a corpus' segment: what stays of its documents, numbered in their order.

Each file is one work item. The number of a document is that among those that stay, so all items
count the removals of all files.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from pipeline.files import arrow_writer
from pipeline.graph.deduplicate import file_list
from pipeline.graph.hash_rows import HashRange, hash_rows
from pipeline.index.segments import (
    BUCKETS,
    DOCUMENTS,
    DOCUMENTS_NAME,
    SIGNATURES_NAME,
    buckets_name,
    read,
)
from pipeline.plan import Plan
from pipeline.records import Record
from pipeline.refined import RowReader
from pipeline.removals import ROW_BITS
from pipeline.splits import validation_mask

BATCH_ROWS = 1 << 16  # of documents: fewer, larger batches are found faster


@dataclass(frozen=True, slots=True)
class IndexPartItem:
    """One file of the segment; `partition` is that of its buckets."""

    folder: str  # of the deduplication, relative to the output directory
    kind: Literal["buckets", "documents", "signatures"]
    partition: int
    num_partitions: int
    removals: str  # relative to the output directory
    sources: tuple[str, ...]  # of each refined file
    fingerprint: str

    @property
    def name(self) -> str:
        if self.kind == "buckets":
            return buckets_name(self.partition)
        return DOCUMENTS_NAME if self.kind == "documents" else SIGNATURES_NAME


def write_index_part(item: IndexPartItem, plan: Plan) -> Record:
    """Write one file of the segment below the deduplication's folder."""
    started = time.monotonic()
    path = plan.out / item.folder / "segment" / item.name
    if item.kind == "buckets":
        table = _buckets(item, plan)
        with arrow_writer(path, BUCKETS) as writer:
            writer.write_table(table)  # one batch: a mapped column is one array
        num_rows = table.num_rows
    else:
        rows = _documents(item, plan) if item.kind == "documents" else _signatures(item, plan)
        num_rows = _write_batches(path, rows)
    counts = {"num_rows": num_rows, "name": item.name}
    seconds = time.monotonic() - started
    return plan.records("index").commit(item.fingerprint, {"part": path}, counts, seconds)


def source_names(sources: Sequence[str]) -> list[str]:
    """The distinct ones, in their order: what the column `source` counts."""
    return list(dict.fromkeys(sources))


def staying(item: IndexPartItem, plan: Plan) -> Iterator[np.ndarray]:
    """For each refined file, which of its documents stay, bool."""
    removed = read(plan.out / item.removals)["doc"].to_numpy()
    for number, path in enumerate(file_list(plan.out / item.folder)["signatures"].to_pylist()):
        bounds = np.array([number, number + 1], np.uint64) << np.uint64(ROW_BITS)
        low, high = np.searchsorted(removed, bounds)
        stays = np.ones(read(plan.out / path).num_rows, np.bool_)
        stays[(removed[low:high] - bounds[0]).astype(np.int64)] = False
        yield stays


def _buckets(item: IndexPartItem, plan: Plan) -> pa.Table:
    paths = file_list(plan.out / item.folder)["signatures"].to_pylist()
    wanted = HashRange.of(item.partition, item.partition + 1, item.num_partitions)
    hashes, numbers, first = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint32)], 0
    for file, (path, stays) in enumerate(zip(paths, staying(item, plan), strict=True)):
        rows = hash_rows(plan.out / path, file, plan.manifest.dedup.exact, wanted)
        at = (rows.doc & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64)
        number = first + np.cumsum(stays) - 1
        hashes.append(rows.bucket[stays[at]])
        numbers.append(number[at[stays[at]]].astype(np.uint32))
        first += int(stays.sum())
    bucket, number = np.concatenate(hashes), np.concatenate(numbers)
    order = np.lexsort((number, bucket))
    return pa.table([pa.array(bucket[order]), pa.array(number[order])], schema=BUCKETS)


def _documents(item: IndexPartItem, plan: Plan) -> Iterator[pa.RecordBatch]:
    yield pa.RecordBatch.from_pylist([], schema=DOCUMENTS)
    names = source_names(item.sources)
    paths = file_list(plan.out / item.folder)["kept"].to_pylist()
    for file, (path, stays) in enumerate(zip(paths, staying(item, plan), strict=True)):
        source = item.sources[file]
        fraction, first = plan.source(source).validation_fraction, 0
        for batch in RowReader(plan.out / path, "id", "key", "text_hash").batches():
            rows = np.flatnonzero(stays[first : first + batch.num_rows])
            kept = batch.take(pa.array(rows))
            is_left = kept["text_hash"].is_valid().to_numpy(zero_copy_only=False)  # not erased
            columns = {
                **{name: kept[name] for name in ("id", "key", "text_hash")},
                "source": np.full(len(rows), names.index(source)),
                "validates": validation_mask(kept["text_hash"], fraction) & is_left,
                "file": np.full(len(rows), file),
                "row": rows + first,
            }
            arrays = [pa.array(columns[field.name], field.type) for field in DOCUMENTS]
            yield pa.RecordBatch.from_arrays(arrays, schema=DOCUMENTS)
            first += batch.num_rows


def _signatures(item: IndexPartItem, plan: Plan) -> Iterator[pa.RecordBatch]:
    paths = file_list(plan.out / item.folder)["signatures"].to_pylist()
    yield pa.RecordBatch.from_pylist([], schema=RowReader(plan.out / paths[0], "minhashes").schema)
    for path, stays in zip(paths, staying(item, plan), strict=True):
        first = 0
        for batch in RowReader(plan.out / path, "minhashes").batches():
            yield batch.filter(pa.array(stays[first : first + batch.num_rows]))
            first += batch.num_rows


def _write_batches(path: Path, batches: Iterator[pa.RecordBatch]) -> int:
    """Write rows in batches of `BATCH_ROWS`, however they come; returns how many there are."""
    first = next(batches)
    held, num_held, num_rows = [first], first.num_rows, 0
    with arrow_writer(path, first.schema) as writer:
        for batch in batches:
            held.append(batch)
            num_held += batch.num_rows
            if num_held >= BATCH_ROWS:
                writer.write_batch(pa.concat_batches(held))
                num_rows += num_held
                held, num_held = [], 0
        if num_held:
            writer.write_batch(pa.concat_batches(held))
    return int(num_rows + num_held)
