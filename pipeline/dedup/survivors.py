"""Who goes, and for whom: survivors, not components.

In the order of rank, best first, a document is removed if a better-ranked document that stays is
verified similar to it. So a removed document is always similar to one that stays (its survivor),
and two ends of a chain a ~ b ~ c that are not alike are not merged: b goes for a, and c, which is
like b only, stays. Over a set of edges this is the one maximal independent set that the order of
rank gives; it does not depend on the order in which edges were found.

The steps of a round are separate functions, so that a graph can elect and verify where the data
lies and decide in one place; `resolve` composes them.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pipeline.dedup.candidates import (
    MAX_ROUNDS,
    Edges,
    concatenate,
    elect,
    no_edges,
    reelect,
    unique_edges,
    unresolved,
)
from pipeline.dedup.kernels import kernel


class Verified(NamedTuple):
    """Pairs with their exact similarity, those below the threshold too."""

    edges: Edges
    similarity: np.ndarray  # (m,) float64


class Removals(NamedTuple):
    """One row per document that goes, sorted by it."""

    doc: np.ndarray  # (r,) uint64
    survivor: (
        np.ndarray
    )  # (r,) uint64: of the better-ranked similar ones that stay the most similar
    similarity: np.ndarray  # (r,) float64, of the two


class Resolution(NamedTuple):
    """What `resolve` found."""

    removals: Removals
    verified: Verified
    num_unresolved: int  # documents left without having met all others of a bucket that stay


def decide(verified: Verified, threshold: float) -> Removals:
    """The documents that go, given all pairs verified so far, in any order.

    Of several survivors the most similar is recorded; of equally similar ones the best-ranked.
    """
    similar = verified.similarity >= threshold
    edges, similarity = Edges(*(c[similar] for c in verified.edges)), verified.similarity[similar]
    docs, one, two = _positions(edges)
    better, worse = np.minimum(one, two), np.maximum(one, two)
    order = np.lexsort((better, worse))
    survivor, best = np.full(len(docs), -1, np.int64), np.zeros(len(docs), np.float64)
    _remove(better[order], worse[order], similarity[order], survivor, best)
    gone = np.flatnonzero(survivor >= 0)
    gone = gone[np.argsort(docs[gone])]
    return Removals(docs[gone], docs[survivor[gone]], best[gone])


def resolve(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    verify: Callable[[Edges], np.ndarray],
    threshold: float,
    max_rounds: int = 5,
) -> Resolution:
    """Deduplicate a bucket table (bucket, document, rank high, rank low: see `elect`).

    `verify` gives the similarities of pairs; it sees each pair once, and none when all are known.
    """
    if not 1 <= max_rounds <= MAX_ROUNDS:
        raise ValueError(f"max_rounds: got {max_rounds}, want 1..{MAX_ROUNDS}")
    verified, removals = Verified(no_edges(), np.zeros(0, np.float64)), no_removals()
    edges, left = elect(*rows)
    for num_rounds in range(1, max_rounds + 1):
        fresh = unique_edges(edges, verified.edges)
        if len(fresh.hub):
            verified = add(verified, Verified(fresh, verify(fresh)))
            removals = decide(verified, threshold)
        if num_rounds < max_rounds:
            edges, left = reelect(left, removals.doc)
            if not len(edges.hub):
                break
    return Resolution(removals, verified, len(unresolved(left, removals.doc)))


def add(verified: Verified, more: Verified) -> Verified:
    """Both, end to end."""
    return Verified(
        concatenate([verified.edges, more.edges]),
        np.concatenate([verified.similarity, more.similarity]),
    )


def no_removals() -> Removals:
    """Nothing goes."""
    return Removals(np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.float64))


def _positions(edges: Edges) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The documents of the edges, best-ranked first, and the places of hubs and members there."""
    both = np.concatenate([edges.hub, edges.member])
    high = np.concatenate([edges.hub_rank_high, edges.member_rank_high])
    low = np.concatenate([edges.hub_rank_low, edges.member_rank_low])
    docs, first, inverse = np.unique(both, return_index=True, return_inverse=True)
    order = np.lexsort((docs, low[first], high[first]))
    place = np.empty(len(docs), np.int64)
    place[order] = np.arange(len(docs))
    places = place[inverse]
    return docs[order], places[: len(edges.hub)], places[len(edges.hub) :]


@kernel
def _remove(
    better: np.ndarray,
    worse: np.ndarray,
    similarity: np.ndarray,
    survivor: np.ndarray,
    best: np.ndarray,
) -> None:
    """Edges between places, sorted by (worse, better): each better place is decided when read."""
    for i in range(len(better)):
        stays = survivor[better[i]] < 0
        if stays and (survivor[worse[i]] < 0 or similarity[i] > best[worse[i]]):
            survivor[worse[i]] = better[i]
            best[worse[i]] = similarity[i]
