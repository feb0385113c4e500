"""From the decision to the removal table: who goes, for whom, and by which rule."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dedup.survivors import LEAK_SIMILARITY, Removals
from pipeline.files import arrow_writer
from pipeline.graph.verify_pairs import take_column
from pipeline.plan import Plan, RefineItem
from pipeline.refined import refined_paths
from pipeline.removals import (
    CONTAINED,
    EXACT,
    LEAK,
    METHOD_EXACT,
    NEAR,
    REMOVALS,
    verified_method,
)


def write_removals(
    plan: Plan,
    items: Sequence[RefineItem],
    removals: Removals,
    indexed: pa.Table,
    path: Path,
) -> dict[str, int]:
    """Write the table, sorted by document, and with the rows of what went for other corpora.

    Returns the number of rows of this corpus by rule. `pipeline/removals.py` has the columns.
    """
    files = [refined_paths(plan.out, item.source, item.fingerprint) for item in items]
    kept = [paths["kept"] for paths in files]
    signatures = [paths["signatures"] for paths in files]
    exact = pc.equal(
        column_of(signatures, removals.doc, "exact", pa.uint64()),
        column_of(signatures, removals.survivor, "exact", pa.uint64()),
    )
    same = exact.to_numpy(zero_copy_only=False) & (removals.similarity == 1.0)
    rules = np.where(same, EXACT, CONTAINED if plan.manifest.dedup.by_containment else NEAR)
    rules = np.where(removals.is_leak, LEAK, rules)
    threshold = plan.manifest.dedup.threshold
    thresholds = np.where(removals.is_leak, LEAK_SIMILARITY, threshold)
    table = _table(kept, removals, rules, thresholds)
    table = table.append_column("method", _methods(plan, table["rule"]))
    for name in ("survivor_id", "corpus"):  # those are told of other corpora only
        table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
    table = pa.concat_tables([table.cast(REMOVALS), indexed])
    with arrow_writer(path, REMOVALS) as writer:
        writer.write_table(table.take(pc.sort_indices(table["doc"])).combine_chunks())
    return {
        "num_exact": int((rules == EXACT).sum()),
        "num_near": int(((rules != EXACT) & (rules != LEAK)).sum()),
        "num_leaks": int((rules == LEAK).sum()),
    }


def _table(
    kept: list[Path], removals: Removals, rules: np.ndarray, thresholds: np.ndarray
) -> pa.Table:
    key = REMOVALS.field("key").type
    columns = [
        pa.array(removals.doc, pa.uint64()),
        column_of(kept, removals.doc, "key", key),
        column_of(kept, removals.doc, "text_hash", key),
        pa.array(removals.survivor, pa.uint64()),
        column_of(kept, removals.survivor, "key", key),
        pa.array(removals.similarity, pa.float64()),
        pa.array(rules.tolist(), pa.string()),
        pa.array(thresholds, pa.float64()),
    ]
    return pa.table(columns, names=REMOVALS.names[: len(columns)])


def _methods(plan: Plan, rules: pa.ChunkedArray) -> pa.ChunkedArray:
    same = pc.equal(rules, EXACT)
    return pc.if_else(same, METHOD_EXACT, verified_method(plan.manifest.dedup))


def column_of(files: list[Path], docs: np.ndarray, column: str, kind: pa.DataType) -> pa.Array:
    """A column of documents in any order."""
    if not len(docs):
        return pa.array([], kind)
    unique, inverse = np.unique(docs, return_inverse=True)
    return take_column(files, unique, column).take(pa.array(inverse))
