"""The deduplication's Beam transforms: the only place where rows of different files meet.

    FindCandidates   partitions of band hashes; GroupByKey over (partition, Arrow batch of hash,
                     document, rank): 32 bytes a row, never a text
    ReelectHubs      a later round over the buckets that are still open
    VerifyPairs      exact similarity of the candidate pairs of one file, read back in offset order

Every partition and file leaves its result as a file and a record.
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
    concatenate,
    elect,
    no_edges,
    reelect,
    unique_edges,
)
from pipeline.dedup.survivors import Verified
from pipeline.dedup.verify import jaccard, shingle_sets
from pipeline.files import arrow_writer
from pipeline.plan import Plan
from pipeline.records import Record, fingerprint
from pipeline.refined import RowReader
from pipeline.removals import ROW_BITS

HUB_BYTES = (
    32_000_000  # of texts of hubs that are held at once; members are one file's, 16 to 20 MB
)
MIN_SIMILARITY = 0.5  # pairs from here on are kept: they decide what validation must not see


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
    partition: int
    round: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class VerifyItem:
    """The candidate pairs of one round whose member stands in one refined file."""

    folder: str
    file: int
    round: int
    partitions: tuple[int, ...]
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


class ReelectHubs(beam.PTransform):  # type: ignore[misc]
    """PCollection[ReelectItem] -> PCollection[Record]."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def expand(self, items: beam.PCollection) -> beam.PCollection:
        return items | "ReelectPartition" >> beam.Map(reelect_partition, plan=self._plan)


class VerifyPairs(beam.PTransform):  # type: ignore[misc]
    """PCollection[VerifyItem] -> PCollection[Record]."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def expand(self, items: beam.PCollection) -> beam.PCollection:
        return items | "VerifyFile" >> beam.Map(verify_file, plan=self._plan)


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


HASH_ROWS = ["bucket", "doc", "rank_high", "rank_low"]


def read_hashes(
    element: tuple[PartitionRange, int, str], plan: Plan
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The hashes of one signature file that fall into a range, a batch a partition.

    Each partition of the range gets a batch, if an empty one, so that each leaves a record.
    """
    item, number, path = element
    rows = _hash_rows(plan.out / path, number, plan.manifest.dedup.exact)
    partitions = (rows["bucket"] >> np.uint64(32)) * np.uint64(item.num_partitions) >> np.uint64(32)
    order = np.argsort(partitions, kind="stable")
    wanted = np.arange(item.first, item.last + 1, dtype=np.uint64)
    bounds = np.searchsorted(partitions[order], wanted)
    for index in range(item.last - item.first):
        chosen = order[bounds[index] : bounds[index + 1]]
        batch = pa.RecordBatch.from_arrays(
            [pa.array(rows[name][chosen]) for name in HASH_ROWS], names=HASH_ROWS
        )
        yield item.first + index, batch


def _hash_rows(path: Path, number: int, exact: bool) -> dict[str, np.ndarray]:
    """All rows (bucket, doc, rank) of a signature file; short documents have one, of all words."""
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    row = np.arange(table.num_rows, dtype=np.uint64)
    hashes, rows = [], []
    short = np.ones(table.num_rows, bool)
    if "bands" in table.schema.names:
        bands = table["bands"].combine_chunks()
        short = bands.is_null().to_numpy(zero_copy_only=False)
        flat = bands.flatten().to_numpy()
        width = bands.type.list_size
        hashes.append(flat)
        rows.append(np.repeat(row[~short], width))
    chosen = row if exact else row[short]
    hashes.append(table["exact"].to_numpy()[chosen])
    rows.append(chosen)
    index = np.concatenate(rows)
    return {
        "bucket": np.concatenate(hashes),
        "doc": np.uint64(number << ROW_BITS) | index,
        "rank_high": table["rank_high"].to_numpy()[index],
        "rank_low": table["rank_low"].to_numpy()[index],
    }


def elect_partition(
    group: tuple[int, Iterable[pa.RecordBatch]], plan: Plan, folder: str, num_partitions: int
) -> Record:
    """Hubs and members of the buckets of one partition."""
    partition, batches = group
    table = pa.Table.from_batches(list(batches)).combine_chunks()
    columns = [table[name].to_numpy() for name in HASH_ROWS]
    edges, still_open = elect(*columns)
    name = partition_fingerprint(folder, partition, num_partitions)
    return _commit_round(plan, folder, 1, partition, name, edges, still_open)


def reelect_partition(item: ReelectItem, plan: Plan) -> Record:
    """New hubs for the buckets of one partition whose members are not decided."""
    folder = plan.out / item.folder
    before = read_rows(
        folder / f"round-{item.round - 1}" / f"open-{item.partition:05d}.arrow", Open
    )
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
    paths = {kind: place / f"{kind}-{partition:05d}.arrow" for kind in ("edges", "open")}
    # The same pair meets in many bands; unique here, it is written and read back once a partition.
    sorted_edges = unique_edges(edges, no_edges())
    _write(paths["edges"], sorted_edges._asdict())
    _write(paths["open"], still_open._asdict())
    files, numbers = np.unique(sorted_edges.member >> np.uint64(ROW_BITS), return_counts=True)
    counts = {
        "partition": partition,
        "num_edges": len(sorted_edges.member),
        "num_open": len(still_open.doc),
        "num_edges_by_file": dict(zip(map(str, files.tolist()), numbers.tolist(), strict=True)),
    }
    return plan.records("candidates").commit(name, paths, counts, time.monotonic() - started)


def verify_file(item: VerifyItem, plan: Plan) -> Record:
    """Exact similarity of the pairs of one file: unique over bands, in offset order."""
    started = time.monotonic()
    folder = plan.out / item.folder
    place = folder / f"round-{item.round}"
    edges = [_edges_of(place / f"edges-{p:05d}.arrow", item.file) for p in item.partitions]
    known = [
        read_verified(path).edges
        for number in range(1, item.round)
        if (path := folder / f"round-{number}" / f"verified-{item.file:05d}.arrow").is_file()
    ]
    pairs = unique_edges(concatenate(edges), concatenate([no_edges(), *known]))
    similarity = _similarities(pairs, folder, plan)
    path = place / f"verified-{item.file:05d}.arrow"
    _write(path, {**pairs._asdict(), "similarity": similarity})
    counts = {
        "num_pairs": len(similarity),
        "num_similar": int((similarity >= MIN_SIMILARITY).sum()),
    }
    seconds = time.monotonic() - started
    return plan.records("verify").commit(item.fingerprint, {"verified": path}, counts, seconds)


def _similarities(pairs: Edges, folder: Path, plan: Plan) -> np.ndarray:
    """Members stand in one file; hubs are read by file, about `HUB_BYTES` of text at a time."""
    result = np.zeros(len(pairs.hub))
    if not len(result):
        return result
    config, files = plan.manifest.dedup, file_list(folder)
    kept = [plan.out / path for path in files["kept"].to_pylist()]
    members, member_index = np.unique(pairs.member, return_inverse=True)
    member_sets = shingle_sets(_texts(kept, members), config)
    hubs, hub_index = np.unique(pairs.hub, return_inverse=True)
    for first, texts in _text_blocks(kept, hubs):
        hub_sets = shingle_sets(texts, config)
        chosen = np.flatnonzero((hub_index >= first) & (hub_index < first + len(texts)))
        result[chosen] = jaccard(
            hub_sets, hub_index[chosen] - first, member_sets, member_index[chosen]
        )
    return result


def _text_blocks(kept: list[Path], docs: np.ndarray) -> Iterator[tuple[int, pa.StringArray]]:
    """Texts of ascending documents in blocks, each with the number of its first document."""
    first, block, num_bytes = 0, [], 0
    numbers = docs >> np.uint64(ROW_BITS)
    for number in np.unique(numbers):
        texts = _texts(kept, docs[numbers == number])
        block.append(texts)
        num_bytes += texts.nbytes
        if num_bytes >= HUB_BYTES:
            yield first, pa.concat_arrays(block)
            first, block, num_bytes = first + sum(map(len, block)), [], 0
    if block:
        yield first, pa.concat_arrays(block)


def _texts(kept: list[Path], docs: np.ndarray) -> pa.StringArray:
    return take_column(kept, docs, "text")


def take_column(files: list[Path], docs: np.ndarray, column: str) -> pa.Array:
    """A column of ascending documents, each file opened once and read in offset order."""
    numbers = (docs >> np.uint64(ROW_BITS)).astype(np.int64)
    rows = (docs & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64)
    return pa.concat_arrays(
        [RowReader(files[n], column).take(rows[numbers == n], column) for n in np.unique(numbers)]
    )


def _edges_of(path: Path, file: int) -> Edges:
    """The edges whose member stands in a file; edge files are sorted by member."""
    edges = read_rows(path, Edges)
    bounds = np.array([file, file + 1], dtype=np.uint64) << np.uint64(ROW_BITS)
    low, high = np.searchsorted(edges.member, bounds)
    return Edges(*(column[low:high] for column in edges))


def read_verified(path: Path) -> Verified:
    """The verified pairs of one file and round."""
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    edges = Edges(*(table[name].to_numpy() for name in Edges._fields))
    return Verified(edges, table["similarity"].to_numpy())


Columns = TypeVar("Columns", Edges, Open)


def _write(path: Path, columns: dict[str, np.ndarray]) -> None:
    batch = pa.RecordBatch.from_pydict(columns)
    with arrow_writer(path, batch.schema) as writer:
        writer.write_batch(batch)


def read_rows(path: Path, kind: type[Columns]) -> Columns:
    """The columns that one partition left."""
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    return kind(*(table[name].to_numpy() for name in kind._fields))
