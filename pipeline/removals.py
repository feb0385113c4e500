"""The removal table: every document that deduplication removed, and the evidence.

doc        uint64   file number << 32 | row in its refined file; the table is sorted by it
key, text_hash      of the removed document: checked when the removal is applied
survivor_doc, survivor_key   of the document that stays in its place
similarity float64  exact Jaccard similarity of their shingle sets, 1.0 for equal word sequences
rule       string   `EXACT`, `NEAR` or `LEAK`
threshold  float64  what the similarity was compared with
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.keys import KEY_TYPE

REMOVALS = pa.schema(
    [
        pa.field("doc", pa.uint64()),
        pa.field("key", KEY_TYPE),
        pa.field("text_hash", KEY_TYPE),
        pa.field("survivor_doc", pa.uint64()),
        pa.field("survivor_key", KEY_TYPE),
        pa.field("similarity", pa.float64()),
        pa.field("rule", pa.string()),
        pa.field("threshold", pa.float64()),
    ]
)
ROW_BITS = 32
EXACT, NEAR, LEAK = "exact_duplicate", "near_duplicate", "validation_leak"


@dataclass(frozen=True, slots=True)
class Removals:
    """The removals of one refined file, in the order of its rows."""

    rows: np.ndarray  # int64, ascending
    keys: pa.FixedSizeBinaryArray
    text_hashes: pa.FixedSizeBinaryArray
    rules: pa.StringArray

    def num_by_rule(self) -> dict[str, int]:
        counted = self.rules.value_counts()
        names, numbers = counted.field(0).to_pylist(), counted.field(1).to_pylist()
        return dict(Counter(dict(zip(names, numbers, strict=True))))


def read_removals(out: Path, path: str, first: int, last: int) -> Removals:
    """Rows `first:last` of a removal table."""
    with pa.memory_map(str(out / path)) as source:
        table = pa.ipc.open_file(source).read_all().slice(first, last - first)
    table = table.combine_chunks()
    columns = {name: _array(table[name]) for name in ("doc", "key", "text_hash", "rule")}
    docs = columns["doc"].to_numpy()
    rows = (docs & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64)
    return Removals(rows, columns["key"], columns["text_hash"], columns["rule"])


def _array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)
