"""The rounds of a deduplication over arrays in memory: what the graph does, without files."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.dedup.candidates import Edges, elect, reelect, unique_edges, unresolved
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.ranks import policy_rank
from pipeline.dedup.signature import buckets, sign
from pipeline.dedup.survivors import (
    Removals,
    Verified,
    concatenated,
    decide,
    no_removals,
    nothing_verified,
)
from pipeline.dedup.verify import containment, jaccard, shingle_sets

# The similarities of pairs, of the member to the hub and of the hub to the member.
Verify = Callable[[Edges], tuple[np.ndarray, np.ndarray]]
BucketTable = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class Resolution(NamedTuple):
    """What `resolve` found."""

    removals: Removals
    verified: Verified
    num_unresolved: int  # documents left without having met all others of a bucket that stay


def resolve(
    rows: BucketTable,
    verify: Verify,
    threshold: float,
    max_rounds: int = 5,
    held_out: np.ndarray | None = None,
) -> Resolution:
    """Deduplicate a bucket table (bucket, document, rank high, rank low: see `elect`).

    `verify` sees each pair once, and none when all are known.
    """
    verified, removals = nothing_verified(), no_removals()
    held_out = np.zeros(0, np.uint64) if held_out is None else held_out
    edges, left = elect(*rows)
    for num_rounds in range(1, max_rounds + 1):
        fresh = unique_edges(edges, verified.edges)
        if len(fresh.hub):
            verified = concatenated([verified, Verified(fresh, *verify(fresh))])
            removals = decide(verified, threshold, held_out)
        if num_rounds < max_rounds:
            edges, left = reelect(left, removals.doc)
            if not len(edges.hub):
                break
    return Resolution(removals, verified, len(unresolved(left, removals.doc)))


def bucket_table(
    texts: pa.StringArray, priority: list[int], key_words: np.ndarray, config: DedupConfig
) -> BucketTable:
    """What the pipeline does: sign, band, rank."""
    found = buckets(sign(texts, config), config)
    length = np.array([len(text) for text in texts.to_pylist()], np.int64)
    values = {"priority": np.array(priority), "longest": length}
    ranks = policy_rank(config.survivor, key_words, values)
    row = found.row
    return found.bucket, row.astype(np.uint64), ranks.high[row], ranks.low[row]


def verifier(texts: pa.StringArray, config: DedupConfig) -> Verify:
    """Exact similarities of texts, which are numbered by their place."""
    sets = shingle_sets(texts, config)

    def verify(edges: Edges) -> tuple[np.ndarray, np.ndarray]:
        pairs = (sets, edges.hub, sets, edges.member)
        if config.by_containment:
            of_hub, of_member = containment(*pairs)
            return of_member, of_hub
        similarity = jaccard(*pairs)
        return similarity, similarity

    return verify
