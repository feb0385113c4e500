"""The index of `dedup.index`: bytes per document on disk, and how fast documents are looked up.

    python -m benchmarks.dedup.index [--documents 1000000 10000000] [--work DIR]

The index is synthetic: random buckets, as many as the default parameters give a document, in the
files that `prepare` writes. Of the documents looked up a tenth are indexed ones.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from pipeline.dedup.config import DedupConfig
from pipeline.files import arrow_writer, file_hash
from pipeline.graph.look_up import Rows, matches
from pipeline.index.parameters import parameters
from pipeline.index.segments import (
    BUCKETS,
    DELETED,
    DOCUMENTS,
    DOCUMENTS_NAME,
    Contents,
    Segment,
    buckets_name,
    content_fingerprint,
    publish,
    read,
)
from pipeline.indexing import PARTITION_ROWS

BUCKETS_PER_DOCUMENT = 15  # 14 bands and the whole text
NUM_LOOKED_UP = 100_000
BATCH_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one index."""

    num_documents: int
    bucket_bytes: int
    num_bytes: int
    seconds: float  # for `NUM_LOOKED_UP` documents, the files in the page cache or not
    again_seconds: float  # the same once more
    num_pairs: int
    peak_bytes: int  # of this process, mapped pages of the index included


def segment(work: Path, num_documents: int) -> Segment:
    """Write a segment of random documents."""
    num_rows = num_documents * BUCKETS_PER_DOCUMENT
    num_partitions = max(1, -(-num_rows // PARTITION_ROWS))
    random = np.random.default_rng(17)
    files = {}
    for partition in range(num_partitions):
        first, last = (num_rows * (partition + i) // num_partitions for i in (0, 1))
        low, high = (-(-(2**32) * (partition + i) // num_partitions) << 32 for i in (0, 1))
        bucket = np.sort(random.integers(low, high, last - first, np.uint64, endpoint=False))
        number = random.integers(0, num_documents, last - first, np.uint32)
        path = files.setdefault(buckets_name(partition), work / buckets_name(partition))
        with arrow_writer(path, BUCKETS) as writer:
            writer.write_table(pa.table([bucket, number], schema=BUCKETS))
    files[DOCUMENTS_NAME] = work / DOCUMENTS_NAME
    with arrow_writer(files[DOCUMENTS_NAME], DOCUMENTS) as writer:
        for batch in _documents(num_documents, random):
            writer.write_batch(batch)
    contents = Contents(
        number=1,
        fingerprint=content_fingerprint({name: file_hash(path) for name, path in files.items()}),
        made_of="synthetic",
        parameters=parameters(DedupConfig()),
        out="nowhere",
        files=("refined/web/none.kept.arrow",),
        sources=(("web", 0),),
        num_documents=num_documents,
        num_partitions=num_partitions,
        file_bytes={name: path.stat().st_size for name, path in files.items()},
    )
    made = publish(work / "index", "synthetic", contents, files, DELETED.empty_table())
    for path in files.values():
        path.unlink()
    return made


def _documents(num_documents: int, random: np.random.Generator) -> Iterator[pa.RecordBatch]:
    for first in range(0, num_documents, BATCH_ROWS):
        size = min(BATCH_ROWS, num_documents - first)
        keys = [
            pa.Array.from_buffers(
                pa.binary(16), size, [None, pa.py_buffer(random.bytes(16 * size))]
            )
            for _ in range(2)
        ]
        numbers = pa.array(np.arange(first, first + size))
        columns = {
            "key": keys[0],
            "text_hash": keys[1],
            "id": numbers.cast(pa.string()),
            "source": np.zeros(size),
            "validates": np.zeros(size, np.bool_),
            "file": np.zeros(size),
            "row": numbers,
        }
        arrays = [pa.array(columns[field.name]).cast(field.type) for field in DOCUMENTS]
        yield pa.RecordBatch.from_arrays(arrays, schema=DOCUMENTS)


def looked_up(found: Segment) -> Rows:
    """Buckets of `NUM_LOOKED_UP` documents, of which a tenth stand in the index."""
    random = np.random.default_rng(5)
    num_rows = NUM_LOOKED_UP * BUCKETS_PER_DOCUMENT
    bucket = random.integers(0, 2**64, num_rows, np.uint64, endpoint=False)
    indexed = read(found.data / buckets_name(0))["bucket"].to_numpy()
    hits = random.random(num_rows) < 0.1
    bucket[hits] = indexed[random.integers(0, len(indexed), int(hits.sum()))]
    doc = np.repeat(np.arange(NUM_LOOKED_UP, dtype=np.uint64), BUCKETS_PER_DOCUMENT)
    return Rows(bucket, doc, np.zeros(num_rows, np.bool_))


def measure(work: Path, num_documents: int) -> Measured:
    """Build an index of so many documents and look into it, on one core."""
    found = segment(work, num_documents)
    rows, seconds, num_pairs = looked_up(found), [], 0
    for _ in range(2):
        started = time.perf_counter()
        num_pairs = sum(len(block.doc) for block in matches(rows, [found], np.zeros(1, np.int64)))
        seconds.append(time.perf_counter() - started)
    sizes = found.contents.file_bytes
    return Measured(
        num_documents,
        found.num_bytes - sizes[DOCUMENTS_NAME],
        found.num_bytes,
        *seconds,
        num_pairs,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


def main() -> None:
    """Measure indexes of several sizes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--documents", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--work", type=Path, help="where the index is written (default: temporary)")
    options = parser.parse_args()
    table = Table(
        "documents", "bytes each", "of buckets", "looked up/s", "again/s", "pairs", "peak memory"
    )
    for num_documents in sorted(options.documents):
        with tempfile.TemporaryDirectory(dir=options.work) as work:
            done = measure(Path(work), num_documents)
        table.add_row(
            f"{num_documents:,}",
            f"{done.num_bytes / num_documents:.0f}",
            f"{done.bucket_bytes / num_documents:.0f}",
            f"{NUM_LOOKED_UP / done.seconds:,.0f}",
            f"{NUM_LOOKED_UP / done.again_seconds:,.0f}",
            f"{done.num_pairs:,}",
            f"{done.peak_bytes / 1e9:.2f} GB",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
