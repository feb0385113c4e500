"""What deduplication found of one document: for whom it went, who went for it, whom it met.

Of the pairs below the threshold a finished output holds no list. They are found again: documents
that share a bucket have a band of their signatures in common, and signatures are stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline.dedup.config import DedupConfig
from pipeline.explaining.output import ELSEWHERE, Output, split_docs
from pipeline.refined import COMPARED, RowReader

if TYPE_CHECKING:
    from pipeline.dedup.verify import ShingleSets

MAX_LISTED = 10
MAX_VERIFIED = 50  # documents that share most buckets, of which the similarity is computed
HEAD = ("id", "source", "key")


@dataclass(frozen=True, slots=True)
class Other:
    """Another document; its text is read where it is wanted."""

    doc: int | None  # None: in another corpus
    id: str | None
    source: str | None
    key: str
    corpus: str | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """A row of the removal table: `removed` went because `survivor` stays."""

    removed: Other
    survivor: Other
    similarity: float
    threshold: float
    rule: str
    method: str | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document that shares buckets, and its similarity by what deduplication compares."""

    other: Other
    num_buckets: int
    similarity: float
    is_removed: bool


@dataclass(frozen=True, slots=True)
class Candidates:
    """The most similar documents that share a bucket; `num_found` of them all."""

    listed: tuple[Candidate, ...]
    num_found: int


def removal_of(output: Output, doc: int) -> Removal | None:
    """Why deduplication removed a document, or None where it did not."""
    place = int(np.searchsorted(output.removed_docs, np.uint64(doc)))
    if place == len(output.removed_docs) or int(output.removed_docs[place]) != doc:
        return None
    return removals_at(output, np.array([place]))[0]


def removed_for(output: Output, doc: int) -> tuple[list[Removal], int]:
    """Of the documents that went because this one stays the most similar, and how many did."""
    places = np.flatnonzero(output.survivor_docs == np.uint64(doc))
    similarity = output.removals["similarity"].to_numpy()[places]
    first = places[np.argsort(-similarity, kind="stable")][:MAX_LISTED]
    return removals_at(output, first), len(places)


def removals_at(output: Output, places: np.ndarray) -> list[Removal]:
    """Rows of the removal table, in the order of `places`; few."""
    rows = output.removals.take(pa.array(places)).to_pylist()
    removed = others(output, output.removed_docs[places])
    survivors = output.survivor_docs[places]
    here = survivors != ELSEWHERE
    known = iter(others(output, survivors[here]))
    return [
        Removal(
            mine,
            next(known) if is_here else _elsewhere(row),
            row["similarity"],
            row["threshold"],
            row["rule"],
            row.get("method"),
        )
        for mine, row, is_here in zip(removed, rows, here, strict=True)
    ]


def _elsewhere(row: dict[str, Any]) -> Other:
    key = row["survivor_key"]
    return Other(None, row["survivor_id"], None, key.hex() if key else "", row["corpus"])


def others(output: Output, docs: np.ndarray) -> list[Other]:
    """Who these kept documents are, in their order."""
    columns = output.read(docs, *HEAD)
    return [
        Other(int(doc), name, source, key.hex() if key else "")  # without a key: erased
        for doc, name, source, key in zip(docs, *(columns[c] for c in HEAD), strict=True)
    ]


def candidates_of(output: Output, doc: int) -> Candidates:
    """Kept documents that share a bucket with this one, the most similar first.

    Of more than `MAX_VERIFIED` those that share most buckets are compared.
    """
    config = output.plan.manifest.dedup
    mine = _signature(output, doc)
    found = [
        _sharing(item.paths["signatures"], np.uint64(item.number) << np.uint64(32), *mine)
        for item in output.items
        if item.num_documents["kept"]
    ]
    docs = np.concatenate([np.zeros(0, np.uint64), *(each[0] for each in found)])
    shared = np.concatenate([np.zeros(0, np.int64), *(each[1] for each in found)])
    docs, shared = docs[docs != np.uint64(doc)], shared[docs != np.uint64(doc)]
    order = np.argsort(-shared, kind="stable")[:MAX_VERIFIED]
    similarity = similarities(output, doc, docs[order], config)
    gone = np.isin(docs[order], output.removed_docs)
    ranked = np.argsort(-similarity, kind="stable")[:MAX_LISTED]
    names = others(output, docs[order][ranked])
    listed = [
        Candidate(name, int(shared[order][i]), float(similarity[i]), bool(gone[i]))
        for name, i in zip(names, ranked, strict=True)
    ]
    return Candidates(tuple(listed), len(docs))


def similarities(
    output: Output, doc: int, docs: Sequence[int] | np.ndarray, config: DedupConfig
) -> np.ndarray:
    """The similarity of one document to others, as deduplication computes it; float64."""
    from pipeline.dedup.verify import containment, jaccard  # numba: half a second

    docs = np.asarray(docs, np.uint64)
    if not len(docs):
        return np.zeros(0)
    mine = _shingles(output, np.array([doc], np.uint64), config)
    theirs = _shingles(output, docs, config)
    pairs = (mine, np.zeros(len(docs), np.int64), theirs, np.arange(len(docs)))
    found: np.ndarray = (
        np.maximum(*containment(*pairs)) if config.by_containment else jaccard(*pairs)
    )
    return found


def _shingles(output: Output, docs: np.ndarray, config: DedupConfig) -> "ShingleSets":
    from pipeline.dedup.verify import shingle_sets

    return shingle_sets(pa.array(output.read(docs, COMPARED)[COMPARED], pa.string()), config)


def _signature(output: Output, doc: int) -> tuple[int, np.ndarray]:
    """The hash of the whole text, and the buckets of the bands; none of a short text."""
    (number,), (row,) = split_docs(np.array([doc], np.uint64))
    reader = RowReader(output.items[number].paths["signatures"])
    rows = np.array([row])
    exact = reader.take(rows, "exact")[0].as_py()
    bands = reader.take(rows, "bands")[0].as_py() if "bands" in reader.schema.names else None
    return exact, np.array(bands or [], np.uint64)


def _sharing(
    path: Path, first_doc: np.uint64, exact: int, bands: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Documents of one file that share a bucket, and how many."""
    columns = ("exact", "bands") if len(bands) else ("exact",)
    docs, shared, first = [], [], 0
    for batch in RowReader(path, *columns).batches():
        number = (batch["exact"].to_numpy() == np.uint64(exact)).astype(np.int64)
        if len(bands):
            values = batch["bands"]
            width = values.type.list_size
            raw = values.values.to_numpy()[values.offset * width :][: len(values) * width]
            same = (raw.reshape(-1, width) == bands).sum(axis=1)
            number += np.where(values.is_valid().to_numpy(zero_copy_only=False), same, 0)
        rows = np.flatnonzero(number)
        docs.append(first_doc + (first + rows).astype(np.uint64))
        shared.append(number[rows])
        first += batch.num_rows
    none = (np.zeros(0, np.uint64), np.zeros(0, np.int64))
    return np.concatenate([none[0], *docs]), np.concatenate([none[1], *shared])
