"""What goes of one refined file because an earlier corpus has it, with the evidence.

Whether a document goes for an indexed one depends on no other document of its corpus, so each file
is decided by itself.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.dedup.index import Chosen, Pairs, Sides, choose, take, unique_pairs
from pipeline.dedup.survivors import LEAK_SIMILARITY
from pipeline.files import arrow_writer
from pipeline.graph.compare_indexed import Compared, Documents, by_segment, column_at, compare
from pipeline.graph.deduplicate import file_list
from pipeline.graph.verify_pairs import take_column
from pipeline.index.segments import Segment, read_segments
from pipeline.keys import KEY_TYPE
from pipeline.plan import Plan
from pipeline.records import Record
from pipeline.refined import COMPARED, RowReader
from pipeline.removals import (
    INDEX_LEAK,
    INDEXED,
    METHOD_ESTIMATED,
    METHOD_EXACT,
    REMOVALS,
    ROW_BITS,
    verified_method,
)
from pipeline.splits import validation_mask


@dataclass(frozen=True, slots=True)
class VerifyIndexedItem:
    """The pairs of one refined file with indexed documents."""

    folder: str  # of the deduplication, relative to the output directory
    index: str
    segments: tuple[str, ...]
    source: str
    file: int
    pairs: tuple[str, ...]  # files of pairs, relative to the output directory
    fingerprint: str


def verify_indexed(item: VerifyIndexedItem, plan: Plan) -> Record:
    """The removals of one refined file, as rows of the removal table."""
    started = time.monotonic()
    segments = read_segments(Path(item.index), item.segments)
    pairs = unique_pairs(_pairs(item, plan))
    documents = _documents(pairs, item, plan)
    compared = compare(pairs, documents, segments, plan.manifest.dedup)
    chosen = _choose(pairs, compared, documents, segments, item, plan)
    path = plan.out / item.folder / "indexed" / f"removals-{item.file:05d}.arrow"
    with arrow_writer(path, REMOVALS) as writer:
        writer.write_table(_table(pairs, compared, chosen, segments, item, plan))
    unknown = np.unique(pairs.doc[np.isnan(compared.similarity)])
    counts = {
        "num_pairs": len(pairs.doc),
        "num_removed": int((~chosen.is_leak).sum()),
        "num_leaks": int(chosen.is_leak.sum()),
        "num_estimated": int(compared.is_estimated[chosen.pair].sum()),
        "num_uncompared": len(np.setdiff1d(unknown, pairs.doc[chosen.pair])),
    }
    seconds = time.monotonic() - started
    store = plan.records("verify_indexed")
    return store.commit(item.fingerprint, {"removals": path}, counts, seconds)


def _pairs(item: VerifyIndexedItem, plan: Plan) -> Pairs:
    """All pairs of the file; batches are sorted by document, so its rows are together in each."""
    bounds = np.array([item.file, item.file + 1], np.uint64) << np.uint64(ROW_BITS)
    parts = []
    for path in item.pairs:
        for batch in RowReader(plan.out / path).batches():
            low, high = np.searchsorted(batch["doc"].to_numpy(), bounds)
            cut = batch.slice(low, high - low)
            parts.append([cut[name].to_numpy(zero_copy_only=False) for name in Pairs._fields])
    return Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _kept(item: VerifyIndexedItem, plan: Plan) -> list[Path]:
    return [plan.out / path for path in file_list(plan.out / item.folder)["kept"].to_pylist()]


def _documents(pairs: Pairs, item: VerifyIndexedItem, plan: Plan) -> Documents:
    kept, docs = _kept(item, plan), np.unique(pairs.doc)
    return Documents(docs, *(take_column(kept, docs, name) for name in (COMPARED, "text_hash")))


def _choose(
    pairs: Pairs,
    compared: Compared,
    documents: Documents,
    segments: Sequence[Segment],
    item: VerifyIndexedItem,
    plan: Plan,
) -> Chosen:
    config, source = plan.manifest.dedup, plan.source(item.source)
    held_out = validation_mask(documents.text_hash, source.validation_fraction)
    validates = held_out[np.searchsorted(documents.doc, pairs.doc)]
    priority = np.full(len(pairs.doc), source.priority)
    theirs = _indexed_sides(pairs, segments)
    if "priority" not in config.survivor:  # then the finished corpus stays as it is
        priority = theirs.priority
    ours = Sides(priority, validates)
    return choose(pairs, *compared, ours, theirs, config.threshold)


def _indexed_sides(pairs: Pairs, segments: Sequence[Segment]) -> Sides:
    priority = np.zeros(len(pairs.doc), np.int64)
    validates = np.zeros(len(pairs.doc), np.bool_)
    for at, segment in by_segment(pairs, segments):
        priorities = np.array([priority for _, priority in segment.contents.sources], np.int64)
        numbers = pairs.number[at]
        priority[at] = priorities[column_at(segment, numbers, "source").to_numpy()]
        held_out = column_at(segment, numbers, "validates")
        validates[at] = held_out.to_numpy(zero_copy_only=False)
    return Sides(priority, validates)


def _table(
    pairs: Pairs,
    compared: Compared,
    chosen: Chosen,
    segments: Sequence[Segment],
    item: VerifyIndexedItem,
    plan: Plan,
) -> pa.Table:
    if not len(chosen.pair):
        return REMOVALS.empty_table()
    kept, config = _kept(item, plan), plan.manifest.dedup
    evidence = take(pairs, chosen.pair)
    same = evidence.same_words & (chosen.similarity == 1.0)
    method = np.where(same, METHOD_EXACT, verified_method(config))
    method = np.where(compared.is_estimated[chosen.pair], METHOD_ESTIMATED, method)
    columns = {
        "doc": evidence.doc,
        "key": take_column(kept, evidence.doc, "key"),
        "text_hash": take_column(kept, evidence.doc, "text_hash"),
        "survivor_doc": pa.nulls(len(same), pa.uint64()),
        "similarity": chosen.similarity,
        "rule": np.where(chosen.is_leak, INDEX_LEAK, INDEXED),
        "threshold": np.where(chosen.is_leak, LEAK_SIMILARITY, config.threshold),
        "method": method,
        **_survivors(evidence, segments),
    }
    arrays = [pa.array(columns[f.name], f.type) for f in REMOVALS]
    return pa.Table.from_arrays(arrays, schema=REMOVALS)


def _survivors(evidence: Pairs, segments: Sequence[Segment]) -> dict[str, pa.Array]:
    """Key, id and corpus of the indexed document of each pair."""
    order, keys, ids, names = [], [], [], []
    for at, segment in by_segment(evidence, segments):
        order.append(at)
        keys.append(column_at(segment, evidence.number[at], "key"))
        ids.append(column_at(segment, evidence.number[at], "id"))
        names.append(pa.array([segment.name] * len(at), pa.string()))
    back = pa.array(np.argsort(np.concatenate(order)))
    return {
        "survivor_key": pa.concat_arrays(keys).cast(KEY_TYPE).take(back),
        "survivor_id": pa.concat_arrays(ids).take(back),
        "corpus": pa.concat_arrays(names).take(back),
    }
