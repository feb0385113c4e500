"""The deduplication's graph: the only place where rows of different files meet.

    FindCandidates     partitions of band hashes; GroupByKey over (partition, Arrow batch of hash,
                       document, rank): 32 bytes a row, never a text
    reelect_partition  a later round over the buckets that are still open

Every partition leaves its result as a file and a record. `verify_pairs.py` goes on from there.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import apache_beam as beam
import numpy as np
import pyarrow as pa

from pipeline.dedup.candidates import (
    Edges,
    Open,
    contains,
    elect,
    no_edges,
    reelect,
    unique_edges,
)
from pipeline.files import arrow_writer
from pipeline.graph.hash_rows import HashRange, HashRows, hash_rows, partition_of
from pipeline.plan import Plan
from pipeline.records import Record, fingerprint
from pipeline.removals import ROW_BITS


@dataclass(frozen=True, slots=True)
class PartitionRange:
    """Partitions `first:last` of `num_partitions` of the range of band hashes."""

    folder: str  # of the deduplication, relative to the output directory
    first: int
    last: int
    num_partitions: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ReelectItem:
    """One partition with buckets that are open after a round."""

    folder: str
    before: str  # file of the open buckets, relative to the output directory
    partition: int
    round: int
    fingerprint: str


class FindCandidates(beam.PTransform):  # type: ignore[misc]  # Beam ships no types
    """PCollection[PartitionRange] -> PCollection[Record], a record per partition."""

    def __init__(self, plan: Plan, folder: str, num_partitions: int) -> None:
        super().__init__()
        self._plan, self._folder, self._num_partitions = plan, folder, num_partitions

    def expand(self, ranges: beam.PCollection) -> beam.PCollection:
        rows = tuple[int, pa.RecordBatch]  # declared, so that Arrow IPC is the coder, not pickle
        return (
            ranges
            | "ListFiles" >> beam.FlatMap(_files_of, plan=self._plan)
            | "ReadHashes" >> beam.FlatMap(read_hashes, plan=self._plan).with_output_types(rows)
            | "GroupByPartition" >> beam.GroupByKey()
            | "ElectHubs"
            >> beam.Map(
                elect_partition,
                plan=self._plan,
                folder=self._folder,
                num_partitions=self._num_partitions,
            )
        )


def partition_fingerprint(folder: str, partition: int, num_partitions: int) -> str:
    """Names the record of one partition of the first round."""
    return fingerprint(folder, "partition", partition, num_partitions)


def _files_of(item: PartitionRange, plan: Plan) -> Iterator[tuple[PartitionRange, int, str]]:
    table = file_list(plan.out / item.folder)
    for number, path in enumerate(table["signatures"].to_pylist()):
        yield item, number, path


def file_list(folder: Path) -> pa.Table:
    """The refined files in the order that numbers documents: columns kept, signatures, source."""
    with pa.memory_map(str(folder / "files.arrow")) as source:
        return pa.ipc.open_file(source).read_all()


INDEXED_NAME = "indexed.npy"  # documents that went for one of an earlier corpus, sorted


def read_hashes(
    element: tuple[PartitionRange, int, str], plan: Plan
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The hashes of one signature file that fall into a range, a batch a partition.

    Each partition of the range gets a batch, if an empty one, so that each leaves a record.
    """
    item, number, path = element
    wanted = HashRange.of(item.first, item.last, item.num_partitions)
    rows = hash_rows(plan.out / path, number, plan.manifest.dedup.exact, wanted)
    rows = _undecided(rows, plan.out / item.folder / INDEXED_NAME)
    partitions = partition_of(rows.bucket, item.num_partitions)
    for partition in range(item.first, item.last):
        chosen = rows.take(partitions == partition)
        yield partition, pa.RecordBatch.from_pydict(chosen._asdict())


def _undecided(rows: HashRows, path: Path) -> HashRows:
    """The rows of documents that did not go for one of an earlier corpus."""
    if not path.is_file():
        return rows
    return rows.take(~contains(np.load(path, mmap_mode="r"), rows.doc))


def elect_partition(
    group: tuple[int, Iterable[pa.RecordBatch]], plan: Plan, folder: str, num_partitions: int
) -> Record:
    """Hubs and members of the buckets of one partition."""
    partition, batches = group
    table = pa.Table.from_batches(list(batches)).combine_chunks()
    edges, still_open = elect(*(table[name].to_numpy() for name in HashRows._fields))
    name = partition_fingerprint(folder, partition, num_partitions)
    return _commit_round(plan, folder, 1, partition, name, edges, still_open)


def reelect_partition(item: ReelectItem, plan: Plan) -> Record:
    """New hubs for the buckets of one partition whose members are not decided."""
    folder = plan.out / item.folder
    before = read_rows(plan.out / item.before, Open)
    removed = np.load(folder / f"round-{item.round - 1}" / "removed.npy", mmap_mode="r")
    edges, still_open = reelect(before, removed)
    return _commit_round(
        plan, item.folder, item.round, item.partition, item.fingerprint, edges, still_open
    )


def _commit_round(
    plan: Plan,
    folder: str,
    number: int,
    partition: int,
    name: str,
    edges: Edges,
    still_open: Open,
) -> Record:
    started = time.monotonic()
    place = plan.out / folder / f"round-{number}"
    # By the record: where the hashes were cut otherwise, the same number is another partition.
    paths = {kind: place / f"{kind}-{name}.arrow" for kind in ("edges", "open")}
    # The same pair meets in many bands; unique here, it is written and read back once a partition.
    sorted_edges = unique_edges(edges, no_edges())
    write_rows(paths["edges"], sorted_edges._asdict())
    write_rows(paths["open"], still_open._asdict())
    files, numbers = np.unique(sorted_edges.member >> np.uint64(ROW_BITS), return_counts=True)
    counts = {
        "partition": partition,
        "num_edges": len(sorted_edges.member),
        "num_open": len(still_open.doc),
        "num_edges_by_file": dict(zip(map(str, files.tolist()), numbers.tolist(), strict=True)),
    }
    return plan.records("candidates").commit(name, paths, counts, time.monotonic() - started)


Columns = TypeVar("Columns", Edges, Open)


def write_rows(path: Path, columns: dict[str, np.ndarray]) -> None:
    batch = pa.RecordBatch.from_pydict(columns)
    with arrow_writer(path, batch.schema) as writer:
        writer.write_batch(batch)


def read_rows(path: Path, kind: type[Columns]) -> Columns:
    """The columns that one partition left."""
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    return kind(*(table[name].to_numpy() for name in kind._fields))
