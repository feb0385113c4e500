"""The removal table: every document that deduplication removed, and the evidence.

doc        uint64   file number << 32 | row in its refined file; the table is sorted by it
key, text_hash      of the removed document: checked when the removal is applied
survivor_doc, survivor_key   of the document that stays in its place
similarity float64  exact Jaccard similarity of their shingle sets, or with
                    `dedup.minhash.similarity: containment` the share of the removed document's
                    shingles that are the survivor's too; 1.0 for equal word sequences
rule       string   `EXACT`, `NEAR`, `CONTAINED` (by containment, and not equal) or `LEAK`;
                    `INDEXED` or `INDEX_LEAK` for a document of another corpus
threshold  float64  what the similarity was compared with
method     string   `METHOD_EXACT`: equal words; `METHOD_JACCARD` or `METHOD_CONTAINMENT`: computed
                    from both texts; `METHOD_ESTIMATED`: from stored hashes, the text being gone
survivor_id  string   the survivor's `id` where it is in another corpus, else null
corpus     string   name of that corpus in the index (`dedup.index`), else null

Of a document that went for one of an earlier corpus (rules `INDEXED` and `INDEX_LEAK`)
`survivor_doc` is null, and `survivor_key` a key of that corpus.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.dedup.config import DedupConfig
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
        pa.field("method", pa.string()),
        pa.field("survivor_id", pa.string()),
        pa.field("corpus", pa.string()),
    ]
)
ROW_BITS = 32
EXACT, NEAR, LEAK = "exact_duplicate", "near_duplicate", "validation_leak"
CONTAINED = "contained_duplicate"
INDEXED, INDEX_LEAK = "duplicate_in_index", "validation_leak_in_index"
LEAKS = (LEAK, INDEX_LEAK)
METHOD_EXACT, METHOD_ESTIMATED = "exact", "estimated"
METHOD_JACCARD, METHOD_CONTAINMENT = "jaccard", "containment"


def verified_method(config: DedupConfig) -> str:
    """How similarities are computed from texts."""
    return METHOD_CONTAINMENT if config.by_containment else METHOD_JACCARD


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
