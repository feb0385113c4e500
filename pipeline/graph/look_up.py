"""Which documents of a corpus share a bucket with documents of earlier corpora, by range of hashes.

No shuffle: the rows of one range are read from the signature files, sorted, and searched for in the
sorted files of the index, which are mapped into memory and read in order. What is held is the rows
of one range, about 50 bytes each, whatever the size of the index.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.dedup.candidates import contains
from pipeline.dedup.index import MAX_MATCHES, Pairs, Runs, expand, find_runs, unique_pairs
from pipeline.files import arrow_writer
from pipeline.graph.deduplicate import file_list
from pipeline.graph.hash_rows import HashRange, hash_rows, partition_of
from pipeline.index.segments import Segment, buckets_name, read, read_segments
from pipeline.plan import Plan
from pipeline.records import Record
from pipeline.removals import ROW_BITS

BLOCK_ROWS = 1 << 16  # rows whose matches are written at once: at most 4M of 15 bytes
PAIRS = pa.schema(
    [
        pa.field("doc", pa.uint64()),
        pa.field("segment", pa.uint16()),
        pa.field("number", pa.uint32()),
        pa.field("same_words", pa.bool_()),
    ]
)


@dataclass(frozen=True, slots=True)
class LookUpItem:
    """One of `num_partitions` ranges of hashes, looked up in segments of an index."""

    folder: str  # of the deduplication, relative to the output directory
    index: str
    segments: tuple[str, ...]
    partition: int
    num_partitions: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Rows:
    """The buckets of the documents of one range, in the order of the documents."""

    bucket: np.ndarray  # (n,) uint64
    doc: np.ndarray  # (n,) uint64
    same_words: np.ndarray  # (n,) bool: the bucket is that of the whole text


def look_up_range(item: LookUpItem, plan: Plan) -> Record:
    """The pairs of one range; its file holds batches that are each sorted by document."""
    started = time.monotonic()
    rows = _rows(item, plan)
    path = plan.out / item.folder / "indexed" / f"pairs-{item.fingerprint}.arrow"
    files = np.zeros(len(file_list(plan.out / item.folder)), np.int64)
    num_left_out = np.zeros(1, np.int64)
    with arrow_writer(path, PAIRS) as writer:
        for pairs in matches(rows, read_segments(Path(item.index), item.segments), num_left_out):
            numbers = (pairs.doc >> np.uint64(ROW_BITS)).astype(np.int64)
            files += np.bincount(numbers, minlength=len(files))
            writer.write_batch(pa.RecordBatch.from_arrays([*map(pa.array, pairs)], schema=PAIRS))
    counts = {
        "num_left_out": int(num_left_out[0]),
        "num_pairs_by_file": {str(n): int(files[n]) for n in np.flatnonzero(files)},
    }
    seconds = time.monotonic() - started
    return plan.records("look_up").commit(item.fingerprint, {"pairs": path}, counts, seconds)


def _rows(item: LookUpItem, plan: Plan) -> Rows:
    parts = []
    for number, name in enumerate(file_list(plan.out / item.folder)["signatures"].to_pylist()):
        wanted = HashRange.of(item.partition, item.partition + 1, item.num_partitions)
        bucket, doc, *_ = hash_rows(plan.out / name, number, plan.manifest.dedup.exact, wanted)
        exact = read(plan.out / name)["exact"].to_numpy()
        same = bucket == exact[(doc & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64)]
        order = np.argsort(doc, kind="stable")
        parts.append((bucket[order], doc[order], same[order]))
    columns = zip(*parts, strict=True)
    return Rows(*(np.concatenate(column) for column in columns))


def matches(rows: Rows, segments: list[Segment], num_left_out: np.ndarray) -> Iterator[Pairs]:
    """Pairs in blocks, each sorted by document and unique.

    A bucket has at most `MAX_MATCHES` indexed documents, of the segments added first; the pairs
    beyond are added to `num_left_out[0]`.
    """
    wanted, place = np.unique(rows.bucket, return_inverse=True)
    num_rows = np.bincount(place, minlength=len(wanted))
    room = np.full(len(wanted), MAX_MATCHES)
    for number, segment in enumerate(segments):
        deleted = segment.deleted()
        for first, last, file in _files(wanted, segment):
            bucket, numbers = _live(file, deleted)
            runs = find_runs(wanted[first:last], bucket)
            taken = np.minimum(runs.num_rows, room[first:last])
            num_left_out += ((runs.num_rows - taken) * num_rows[first:last]).sum()
            room[first:last] -= taken
            hits = np.flatnonzero((place >= first) & (place < last))
            hits = hits[taken[place[hits] - first] > 0]
            for start in range(0, len(hits), BLOCK_ROWS):
                chosen = hits[start : start + BLOCK_ROWS]
                found, at = expand(Runs(runs.first, taken), chosen, place[chosen] - first)
                yield _block(rows, found, number, numbers[at])


def _live(file: Path, deleted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Buckets and document numbers of a file, mapped, or without the deleted ones in memory."""
    table = read(file)
    bucket, numbers = table["bucket"].to_numpy(), table["number"].to_numpy()
    if not len(deleted):
        return bucket, numbers
    stays = ~contains(deleted, numbers)
    return bucket[stays], numbers[stays]


def _files(wanted: np.ndarray, segment: Segment) -> Iterator[tuple[int, int, Path]]:
    """The files of a segment that some buckets fall into, and which of the buckets these are."""
    num_partitions = segment.contents.num_partitions
    partitions = partition_of(wanted, num_partitions)
    for partition in np.unique(partitions):
        first, last = np.searchsorted(partitions, [partition, partition + np.uint64(1)])
        yield int(first), int(last), segment.data / buckets_name(int(partition))


def _block(rows: Rows, found: np.ndarray, segment: int, numbers: np.ndarray) -> Pairs:
    doc = rows.doc[found]
    place = np.full(len(doc), segment, np.uint16)
    pairs = unique_pairs(Pairs(doc, place, numbers, rows.same_words[found]))
    order = np.argsort(pairs.doc, kind="stable")
    return Pairs(*(column[order] for column in pairs))
