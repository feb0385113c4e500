"""From verified pairs to the removal table: who goes, for whom, and by which rule."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dedup.survivors import Removals, Verified, no_removals
from pipeline.files import arrow_writer
from pipeline.graph.verify_pairs import MIN_SIMILARITY, take_column
from pipeline.plan import Plan, RefineItem
from pipeline.refined import refined_paths
from pipeline.removals import EXACT, LEAK, NEAR, REMOVALS, ROW_BITS
from pipeline.splits import validation_mask


def write_removals(
    plan: Plan, items: Sequence[RefineItem], verified: Verified, removals: Removals, path: Path
) -> dict[str, int]:
    """Write the table, sorted by document; returns the number of rows by rule."""
    files = [refined_paths(plan.out, item.source, item.fingerprint) for item in items]
    kept = [paths["kept"] for paths in files]
    signatures = [paths["signatures"] for paths in files]
    exact = pc.equal(
        column_of(signatures, removals.doc, "exact", pa.uint64()),
        column_of(signatures, removals.survivor, "exact", pa.uint64()),
    )
    same = exact.to_numpy(zero_copy_only=False) & (removals.similarity == 1.0)
    rules = np.where(same, EXACT, NEAR)
    leaks = validation_leaks(plan, items, kept, verified, removals)
    docs = np.concatenate([removals.doc, leaks.doc])
    order = np.argsort(docs)
    threshold = plan.manifest.dedup.threshold
    table = _table(
        kept,
        docs[order],
        np.concatenate([removals.survivor, leaks.survivor])[order],
        np.concatenate([removals.similarity, leaks.similarity])[order],
        np.concatenate([rules, np.full(len(leaks.doc), LEAK)])[order],
        np.concatenate([np.full(len(rules), threshold), np.full(len(leaks.doc), MIN_SIMILARITY)])[
            order
        ],
    )
    with arrow_writer(path, REMOVALS) as writer:
        writer.write_table(table)
    return {
        "num_exact": int(same.sum()),
        "num_near": int((~same).sum()),
        "num_leaks": len(leaks.doc),
    }


def validation_leaks(
    plan: Plan,
    items: Sequence[RefineItem],
    kept: list[Path],
    verified: Verified,
    removals: Removals,
) -> Removals:
    """Validation documents that are verified similar, from 0.5 on, to one that trains."""
    pairs = verified.similarity >= MIN_SIMILARITY
    fractions = np.array([plan.source(item.source).validation_fraction for item in items])
    one, two = verified.edges.hub[pairs], verified.edges.member[pairs]
    docs = np.setdiff1d(np.union1d(one, two), removals.doc)
    if not fractions.any() or not len(docs):
        return no_removals()
    hashes = take_column(kept, docs, "text_hash")
    held_out = _held_out(hashes, fractions[(docs >> np.uint64(ROW_BITS)).astype(np.int64)])
    found = [
        _leaks(docs, held_out, here, there, verified.similarity[pairs])
        for here, there in ((one, two), (two, one))
    ]
    leak, other, similarity = (np.concatenate(column) for column in zip(*found, strict=True))
    # Of several training documents the most similar is the evidence, then the first.
    order = np.lexsort((other, -similarity, leak))
    leak, first = np.unique(leak[order], return_index=True)
    return Removals(leak, other[order][first], similarity[order][first])


def _held_out(hashes: pa.Array, fractions: np.ndarray) -> np.ndarray:
    held_out = np.zeros(len(hashes), bool)
    for fraction in np.unique(fractions):
        held_out |= validation_mask(hashes, fraction) & (fractions == fraction)
    return held_out


def _leaks(
    docs: np.ndarray,
    held_out: np.ndarray,
    here: np.ndarray,
    there: np.ndarray,
    similarity: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs whose first document stays and validates, and whose second stays and trains."""
    chosen = np.isin(here, docs[held_out]) & np.isin(there, docs[~held_out])
    return here[chosen], there[chosen], similarity[chosen]


def _table(
    kept: list[Path],
    docs: np.ndarray,
    survivors: np.ndarray,
    similarity: np.ndarray,
    rules: np.ndarray,
    thresholds: np.ndarray,
) -> pa.Table:
    key = REMOVALS.field("key").type
    columns = [
        pa.array(docs, pa.uint64()),
        column_of(kept, docs, "key", key),
        column_of(kept, docs, "text_hash", key),
        pa.array(survivors, pa.uint64()),
        column_of(kept, survivors, "key", key),
        pa.array(similarity, pa.float64()),
        pa.array(rules.tolist(), pa.string()),
        pa.array(thresholds, pa.float64()),
    ]
    return pa.table(columns, schema=REMOVALS)


def column_of(files: list[Path], docs: np.ndarray, column: str, kind: pa.DataType) -> pa.Array:
    """A column of documents in any order."""
    if not len(docs):
        return pa.array([], kind)
    unique, inverse = np.unique(docs, return_inverse=True)
    return take_column(files, unique, column).take(pa.array(inverse))
