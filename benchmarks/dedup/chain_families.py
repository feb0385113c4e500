"""Chains A ~ B ~ C ~ ... whose neighbours are alike and whose ends are not.

Deduplication by transitive closure (connected components, as marin and others do it) keeps one
document of a chain, however long. A document that goes here is like one that stays, so a chain
leaves a third of its documents at least: here each is like the two beside it and no other.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from benchmarks.dedup import oracle
from benchmarks.dedup.curve import THRESHOLD, clusters
from benchmarks.dedup.prepared import deduplicate

LINKS, WORDS = 20, 400
# Words that a link is further on: J = (396 - s) / (396 + s) = 0.85 to 0.89, and below 0.8 for 2 s.
STEPS = range(23, 33)
UNLIKE = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Chains:
    """What became of them. A shingle is saved if a document that stays has it."""

    num_chains: int
    num_documents: int
    neighbours: tuple[float, float]  # least and greatest similarity of neighbours
    ends: float  # greatest similarity of the two ends of a chain
    num_components: int  # that transitive closure leaves
    num_left: int
    least_similarity: float  # of a removed document to the one that it went for
    saved: float  # share of the corpus' shingles
    saved_by_closure: float  # where the longest of each component stays


def measure(work: Path, texts: Sequence[str], num_chains: int) -> Chains:
    """Chains from the first texts that give one, deduplicated by `prepare run`."""
    chains = make_chains(texts, num_chains)
    documents = [text for chain in chains for text in chain]
    order = list(range(len(documents)))
    random.Random(5).shuffle(order)
    outcome = deduplicate(work, [("chains", 0, [documents[place] for place in order])], 1)
    matrix = oracle.shingle_matrix(documents[place] for place in order)
    pairs = oracle.similar_pairs(matrix, THRESHOLD)
    component = clusters(pairs, len(documents))
    lengths = np.array([len(documents[place].encode()) for place in order])
    best = np.lexsort((-lengths, component))
    best = best[np.r_[True, component[best][1:] != component[best][:-1]]]
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    place = place.reshape(-1, LINKS)
    neighbours = oracle.similarities(matrix, place[:, :-1].ravel(), place[:, 1:].ravel())
    gone = np.flatnonzero(~outcome.stays)
    return Chains(
        num_chains=len(chains),
        num_documents=len(documents),
        neighbours=(float(neighbours.min()), float(neighbours.max())),
        ends=float(oracle.similarities(matrix, place[:, 0], place[:, -1]).max()),
        num_components=len(best),
        num_left=int(outcome.stays.sum()),
        least_similarity=float(oracle.similarities(matrix, gone, outcome.survivor[gone]).min()),
        saved=_share(matrix[np.flatnonzero(outcome.stays)]),
        saved_by_closure=_share(matrix[best]),
    )


def make_chains(texts: Sequence[str], num_chains: int) -> list[list[str]]:
    """Windows of `WORDS` words over a text, some words further on each.

    Texts that repeat themselves, or what an earlier chain has, give none.
    """
    chains: list[list[str]] = []
    known: set[str] = set()
    for text in texts:
        step = STEPS[len(chains) % len(STEPS)]
        found = oracle.words(text)[: WORDS + (LINKS - 1) * step]
        num_shingles = len(found) - oracle.NGRAM + 1
        shingles = {" ".join(found[i : i + oracle.NGRAM]) for i in range(num_shingles)}
        is_whole = len(found) == WORDS + (LINKS - 1) * step and len(shingles) == num_shingles
        if is_whole and len(shingles & known) < UNLIKE * num_shingles:
            known |= shingles
            chains.append([" ".join(found[i * step : i * step + WORDS]) for i in range(LINKS)])
        if len(chains) == num_chains:
            break
    return chains


def _share(rows: csr_array) -> float:
    """Of the columns, those that a row has."""
    return len(np.unique(rows.indices)) / rows.shape[1]


def report(found: Chains) -> str:
    """Markdown."""
    return "\n".join(
        [
            f"{found.num_chains} chains of {LINKS}, {found.num_documents:,} documents; neighbours "
            f"J = {found.neighbours[0]:.3f}..{found.neighbours[1]:.3f}, ends at most "
            f"{found.ends:.3f}",
            "",
            "| | documents left | of all shingles still there |",
            "|---|---|---|",
            f"| transitive closure, the longest stays | {found.num_components:,} "
            f"| {100 * found.saved_by_closure:.1f} % |",
            f"| `prepare run` | {found.num_left:,} | {100 * found.saved:.1f} % |",
            "",
            f"least similarity of a removed document to its survivor: {found.least_similarity:.3f}",
        ]
    )
