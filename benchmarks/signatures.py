"""How fast one core signs documents: words, shingles and 112 permutations, from Arrow buffers."""

import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from pipeline.dedup.config import DedupConfig
from pipeline.dedup.signature import sign
from pipeline.sources.config import SourceConfig
from pipeline.sources.registry import open_reader

MAX_BYTES = 64_000_000
NUM_ROUNDS = 3


def texts(corpus: Path | None, max_bytes: float = MAX_BYTES) -> list[pa.StringArray]:
    """Batches of about 1,000 real documents, `max_bytes` together."""
    if corpus is None:
        source = SourceConfig(name="code", format="python-environment", part="stdlib")
    else:
        paths = (f"{corpus}/docs-*.jsonl.zst",)
        source = SourceConfig(name="kit", format="jsonl", paths=paths)
    reader = open_reader(source, Path(sysconfig.get_path("stdlib")), 10_000_000)
    batches: list[pa.StringArray] = []
    num_bytes = 0
    for item in reader.inputs():
        for piece in reader.split(item):
            for rows in reader.read(piece):
                batches.append(rows.documents["text"])
                num_bytes += batches[-1].nbytes
                if num_bytes > max_bytes:
                    return batches
    return batches


def megabytes_per_second(batches: Sequence[pa.StringArray]) -> float:
    """Of text, on one core: the best of three rounds by CPU time, compiling left out."""
    config = DedupConfig()
    sign(batches[0], config)
    num_bytes = sum(batch.nbytes for batch in batches)
    best = float("inf")
    for _ in range(NUM_ROUNDS):
        started = time.process_time()
        for batch in batches:
            sign(batch, config)
        best = min(best, time.process_time() - started)
    return num_bytes / 1e6 / best
