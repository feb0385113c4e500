"""Clusters: a document that stays, and those that deduplication removed for it.

Not components: each removed document is similar to its survivor itself, whatever it is to the rest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.explaining.duplication import Other, Removal, removals_at
from pipeline.explaining.output import ELSEWHERE, Output, split_docs

Order = Literal["size", "similarity"]
BINS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99, 1.0)  # 1.0 is a bin of its own


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows of the removal table, each with the number of its cluster."""

    places: np.ndarray  # (n,) int64, ascending
    cluster: np.ndarray  # (n,) int64
    similarity: np.ndarray  # (n,) float64


@dataclass(frozen=True, slots=True)
class Overview:
    """Of all clusters that are asked for."""

    num_clusters: int
    num_removed: int
    by_rule: dict[str, int]
    by_method: dict[str, int]
    histogram: tuple[tuple[float, float, int], ...]  # from, below, removed documents


@dataclass(frozen=True, slots=True)
class Cluster:
    """A survivor, and the least similar of those that went for it and are asked for."""

    survivor: Other
    removed: tuple[Removal, ...]
    num_removed: int


def select(
    output: Output,
    *,
    source: str | None = None,
    docs: Sequence[int] | None = None,
    min_similarity: float = 0.0,
    max_similarity: float = 1.0,
) -> Selection:
    """The removals within the limits, of the documents `docs` or of `source`, on either side.

    Raises `UsageError` for an unknown source.
    """
    output.check_source(source)
    similarity = output.removals["similarity"].to_numpy()
    mask = (similarity >= min_similarity) & (similarity <= max_similarity)
    if docs is not None:
        wanted = np.array(docs, np.uint64)
        mask &= np.isin(output.removed_docs, wanted) | np.isin(output.survivor_docs, wanted)
    elif source is not None:
        mask &= _of_source(output, output.removed_docs, source) | _of_source(
            output, output.survivor_docs, source
        )
    places = np.flatnonzero(mask)
    return Selection(places, _clusters(output, places), similarity[places])


def overview(output: Output, selection: Selection) -> Overview:
    """The figures of a selection."""
    rows = output.removals.take(pa.array(selection.places))
    edges = np.array([*BINS, np.inf])
    numbers, _ = np.histogram(selection.similarity, edges)
    lowest = int(np.flatnonzero(numbers)[0]) if len(selection.places) else 0
    return Overview(
        len(np.unique(selection.cluster)),
        len(selection.places),
        _counts(rows, "rule"),
        _counts(rows, "method"),
        tuple(
            (float(edges[i]), min(float(edges[i + 1]), 1.0), int(numbers[i]))
            for i in range(lowest, len(numbers))
        ),
    )


def clusters(
    output: Output, selection: Selection, by: Order, limit: int | None, num_listed: int | None
) -> Iterator[Cluster]:
    """The first clusters, largest or least similar first; None is no limit.

    Ties are in the order of their first removed documents.
    """
    order = np.lexsort((selection.places, selection.similarity, selection.cluster))
    numbers, first, sizes = np.unique(
        selection.cluster[order], return_index=True, return_counts=True
    )
    opening = np.full(len(numbers), len(output.removed_docs), np.int64)
    np.minimum.at(opening, np.searchsorted(numbers, selection.cluster), selection.places)
    least = selection.similarity[order][first]
    ranked = np.lexsort((opening, -sizes) if by == "size" else (opening, least))
    for number in ranked[:limit]:
        rows = order[first[number] : first[number] + sizes[number]]
        removed = removals_at(output, selection.places[rows][:num_listed])
        yield Cluster(removed[0].survivor, tuple(removed), int(sizes[number]))


def _of_source(output: Output, docs: np.ndarray, source: str) -> np.ndarray:
    """Which documents are of a source; those of another corpus are of none."""
    own = np.array([item.source == source for item in output.items])
    here = docs != ELSEWHERE
    mask = np.zeros(len(docs), np.bool_)
    mask[here] = own[split_docs(docs[here])[0]]
    return mask


def _clusters(output: Output, places: np.ndarray) -> np.ndarray:
    """A number for each survivor; by their keys, where they are in another corpus."""
    survivors = output.survivor_docs[places]
    _, numbers = np.unique(survivors, return_inverse=True)
    elsewhere = survivors == ELSEWHERE
    if elsewhere.any():
        rows = pa.array(places[elsewhere])
        parts = [output.removals[name].take(rows) for name in ("corpus", "survivor_key")]
        names = pc.binary_join_element_wise(*(p.cast(pa.binary()) for p in parts), b"\0")
        codes = names.combine_chunks().dictionary_encode().indices.to_numpy()
        numbers = numbers.astype(np.int64)
        numbers[elsewhere] = len(places) + codes
    return numbers


def _counts(rows: pa.Table, column: str) -> dict[str, int]:
    if column not in rows.column_names:
        return {}
    counted = rows[column].value_counts().to_pylist()
    return {str(each["values"]): each["counts"] for each in sorted(counted, key=_most)}


def _most(counted: dict[str, object]) -> tuple[int, str]:
    return -int(str(counted["counts"])), str(counted["values"])
