"""A corpus against sorted buckets of finished ones: which documents meet, and which of them go.

Pure functions; `pipeline/index` has the files and `pipeline/graph/look_up.py` reads them.
"""

from typing import NamedTuple

import numpy as np

from pipeline.dedup.survivors import LEAK_SIMILARITY

MAX_MATCHES = 64  # indexed documents per bucket: those are survivors, so hardly any alike


class Runs(NamedTuple):
    """Where each of some buckets stands among sorted ones."""

    first: np.ndarray  # (n,) int64
    num_rows: np.ndarray  # (n,) int64, 0 where it is not there


class Pairs(NamedTuple):
    """Documents of a corpus and indexed ones that share a bucket, all (m,)."""

    doc: np.ndarray  # uint64
    segment: np.ndarray  # uint16, its place among those looked into
    number: np.ndarray  # uint32, of the document in its segment
    same_words: np.ndarray  # bool: they share the bucket of their whole texts


class Sides(NamedTuple):
    """What decides of a document beside its similarity; both (m,), a row per pair."""

    priority: np.ndarray  # int64, of its source
    validates: np.ndarray  # bool: held out of training


class Chosen(NamedTuple):
    """The pairs that are the evidence: one per document that goes, sorted by it."""

    pair: np.ndarray  # (r,) int64
    is_leak: np.ndarray  # (r,) bool
    similarity: np.ndarray  # (r,) float64, what was compared with the threshold


def find_runs(wanted: np.ndarray, indexed: np.ndarray) -> Runs:
    """Where ascending buckets stand among ascending indexed ones, both uint64.

    Ascending searches touch the pages of a mapped file in order, each once.
    """
    first = np.searchsorted(indexed, wanted, "left")
    return Runs(first, np.searchsorted(indexed, wanted, "right") - first)


def expand(runs: Runs, rows: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row as often as its run is long, and the places of the run: two int64 (m,).

    `places` (n,) gives each of `rows` its run.
    """
    lengths = runs.num_rows[places]
    ends = np.cumsum(lengths)
    within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
    return np.repeat(rows, lengths), np.repeat(runs.first[places], lengths) + within


def unique_pairs(pairs: Pairs) -> Pairs:
    """Each pair once, sorted by segment, number and document: the order of reading."""
    order = np.lexsort((~pairs.same_words, pairs.doc, pairs.number, pairs.segment))
    pairs = take(pairs, order)
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (
        (pairs.doc[1:] != pairs.doc[:-1])
        | (pairs.number[1:] != pairs.number[:-1])
        | (pairs.segment[1:] != pairs.segment[:-1])
    )
    return take(pairs, is_first)


def take(pairs: Pairs, index: np.ndarray) -> Pairs:
    """The pairs of an index or mask."""
    return Pairs(*(column[index] for column in pairs))


def estimated_similarity(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Share of equal minhashes of each pair of rows, uint32 (m, num_perm), as float64 (m,).

    An estimate of Jaccard similarity s with the standard error sqrt(s * (1 - s) / num_perm)
    (Broder 1997): 0.04 at 0.8 with 112 permutations.
    """
    similarity: np.ndarray = (left == right).mean(axis=1, dtype=np.float64)
    return similarity


def choose(
    pairs: Pairs,
    similarity: np.ndarray,
    reverse: np.ndarray,
    is_estimated: np.ndarray,
    ours: Sides,
    theirs: Sides,
    threshold: float,
) -> Chosen:
    """The documents that go, and the pair for each: all that are like an indexed one that is final.

    A document is removed as a duplicate at `threshold`, unless its source's priority is higher,
    and as a leak at `LEAK_SIMILARITY`, where one of the two is trained on and the other held out:
    that is the similarity of the one that is held out, `reverse` where it is the indexed one.
    `similarity` is NaN where nothing is known. Of several pairs the evidence is the duplicate, the
    verified one, the most similar, then the first added.
    """
    is_duplicate = (similarity >= threshold) & (ours.priority <= theirs.priority)
    of_held_out = np.where(theirs.validates, reverse, similarity)
    is_leak = (of_held_out >= LEAK_SIMILARITY) & (ours.validates != theirs.validates)
    found = np.flatnonzero(is_duplicate | is_leak)
    evidence = np.where(is_duplicate, similarity, of_held_out)[found]
    order = np.lexsort(
        (
            *(pairs.number[found], pairs.segment[found], -evidence),
            *(is_estimated[found], ~is_duplicate[found], pairs.doc[found]),
        )
    )
    _, first = np.unique(pairs.doc[found[order]], return_index=True)
    best = order[first]
    return Chosen(found[best], ~is_duplicate[found[best]], evidence[best])
