"""Who goes, and for whom: survivors, not components.

In the order of rank, best first, a document is removed if a better-ranked document that stays is
verified similar to it. So a removed document is always similar to one that stays (its survivor),
and two ends of a chain a ~ b ~ c that are not alike are not merged: b goes for a, and c, which is
like b only, stays. Over a set of edges this is the one maximal independent set that the order of
rank gives; it does not depend on the order in which edges were found.

Where similarity is containment, it is the share of the worse-ranked document's shingles that the
better-ranked one has. So what goes is contained in what stays. Where each is contained in the other
(they are near-duplicates), the rank alone decides. Where only the better-ranked one is contained in
the other, both stay: the longer text has what the shorter has not, and the policy says that the
shorter is worth more. With `longest` before all that could say so, that does not happen.

Then the split: a document that validates leaks if it is similar, from `LEAK_SIMILARITY` on, to one
that stays and trains, and goes. What it would have removed has no survivor then, so everything is
decided again without it, until nothing leaks. In rare cases the document that a leak was like goes
in a later decision; then the leak goes as a duplicate of what stays, or stays itself (by
containment, with what it contains).
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from filters.kernels.compiled import kernel
from pipeline.dedup.candidates import Edges, concatenate, contains, no_edges, take

LEAK_SIMILARITY = 0.5
_NONE = np.zeros(0, np.uint64)


class Verified(NamedTuple):
    """Pairs with their exact similarity, those below the threshold too."""

    edges: Edges
    similarity: np.ndarray  # (m,) float64, of the member to the hub: what lets the member go
    reverse: np.ndarray  # (m,) float64, of the hub to the member; the same but for containment


class Removals(NamedTuple):
    """One row per document that goes, sorted by it."""

    doc: np.ndarray  # (r,) uint64
    # (r,) uint64: of the similar ones that stay (of a leak: and train) the most similar, and of
    # these the best-ranked. It ranks better, but where a leak goes as a duplicate.
    survivor: np.ndarray
    similarity: np.ndarray  # (r,) float64, of the two
    is_leak: np.ndarray  # (r,) bool: goes because it validates, and its survivor trains


class _Pairs(NamedTuple):
    """Pairs of places in the order of rank, sorted by `here`, then `there`."""

    here: np.ndarray  # (p,) int64
    there: np.ndarray  # (p,) int64
    similarity: np.ndarray  # (p,) float64, of the one here to the one there


def decide(verified: Verified, threshold: float, held_out: np.ndarray = _NONE) -> Removals:
    """The documents that go, given all pairs verified so far, in any order.

    `held_out`, ascending uint64, has the documents that validate, or more.
    """
    docs, hubs, members = _positions(verified.edges)
    up = _pairs(members, hubs, verified.similarity)
    down = _pairs(hubs, members, verified.reverse)
    validates = contains(held_out, docs)
    crossing = _joined(
        *(_chosen(p, validates[p.here] & ~validates[p.there], LEAK_SIMILARITY) for p in (up, down))
    )
    similar = _chosen(up, np.True_, threshold)
    leaked = np.zeros(len(docs), np.bool_)
    while True:
        survivor, best = _fill(similar, leaked)
        stays = (survivor < 0) & ~leaked
        leaking = stays[crossing.here] & stays[crossing.there]
        if not leaking.any():
            break
        leaked[crossing.here[leaking]] = True
    _find(_chosen(crossing, leaked[crossing.here] & stays[crossing.there], 0), survivor, best)
    is_leak = leaked & (survivor >= 0)
    left = leaked & ~is_leak
    if left.any():
        both = _joined(similar, _chosen(down, np.True_, threshold))
        stays |= left
        _release(*_chosen(both, left[both.here], 0), left, stays, survivor, best)
    gone = np.flatnonzero(survivor >= 0)
    gone = gone[np.argsort(docs[gone])]
    return Removals(docs[gone], docs[survivor[gone]], best[gone], is_leak[gone])


def concatenated(parts: Iterable[Verified]) -> Verified:
    """All of them, end to end."""
    edges, *similarities = zip(nothing_verified(), *parts, strict=True)
    return Verified(concatenate(edges), *map(np.concatenate, similarities))


def chosen(verified: Verified, mask: np.ndarray) -> Verified:
    """The pairs of a mask."""
    return Verified(take(verified.edges, mask), verified.similarity[mask], verified.reverse[mask])


def nothing_verified() -> Verified:
    """No pairs at all."""
    return Verified(no_edges(), np.zeros(0, np.float64), np.zeros(0, np.float64))


def no_removals() -> Removals:
    """Nothing goes."""
    return decide(nothing_verified(), 1.0)


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


def _pairs(here: np.ndarray, there: np.ndarray, similarity: np.ndarray) -> _Pairs:
    order = np.lexsort((there, here))
    return _Pairs(here[order], there[order], similarity[order])


def _joined(one: _Pairs, two: _Pairs) -> _Pairs:
    return _pairs(*map(np.concatenate, zip(one, two, strict=True)))


def _chosen(pairs: _Pairs, mask: np.ndarray | np.bool_, least: float) -> _Pairs:
    at = np.flatnonzero(mask & (pairs.similarity >= least))
    return _Pairs(*(column[at] for column in pairs))


def _fill(similar: _Pairs, leaked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each place the survivor, -1 where it stays or leaked, and the similarity to it."""
    survivor, best = np.full(len(leaked), -1, np.int64), np.zeros(len(leaked), np.float64)
    _remove(*similar, leaked, survivor, best)
    return survivor, best


@kernel
def _remove(
    worse: np.ndarray,
    better: np.ndarray,
    similarity: np.ndarray,
    leaked: np.ndarray,
    survivor: np.ndarray,
    best: np.ndarray,
) -> None:
    """Pairs sorted by the worse: each better place is decided when read."""
    for i in range(len(better)):
        here, there = worse[i], better[i]
        goes = survivor[there] < 0 and not leaked[there] and not leaked[here]
        if goes and (survivor[here] < 0 or similarity[i] > best[here]):
            survivor[here], best[here] = there, similarity[i]


def _find(pairs: _Pairs, survivor: np.ndarray, best: np.ndarray) -> None:
    """Give each place `here` its most similar there, of equal ones the first."""
    order = np.lexsort((pairs.there, -pairs.similarity, pairs.here))
    here, first = np.unique(pairs.here[order], return_index=True)
    survivor[here] = pairs.there[order][first]
    best[here] = pairs.similarity[order][first]


@kernel
def _release(
    here: np.ndarray,
    there: np.ndarray,
    similarity: np.ndarray,
    left: np.ndarray,
    stays: np.ndarray,
    survivor: np.ndarray,
    best: np.ndarray,
) -> None:
    """The places that are left go for what stays, best-ranked first, or stay."""
    for i in range(len(here)):
        is_decided = not left[there[i]] or there[i] < here[i]
        goes = is_decided and stays[there[i]]
        if goes and (survivor[here[i]] < 0 or similarity[i] > best[here[i]]):
            survivor[here[i]], best[here[i]] = there[i], similarity[i]
            stays[here[i]] = False
