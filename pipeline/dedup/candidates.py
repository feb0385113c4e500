"""Which pairs of documents are worth comparing: stars around the hubs of each bucket.

A bucket holds the documents of one band hash (or one whole-text hash). Comparing all of its pairs
is quadratic: a licence text that stands in a million documents would take 5 * 10^11 comparisons.
So a bucket elects its best-ranked document as hub, and the others are compared with the hub only.
What is not like the hub may still be like another member, so after each round the documents that
stay and never were hub of this bucket elect the next hubs: as many as the bucket has had, so 1, 1,
2, 4, 8. One at a time, a bucket of unlike documents would have 5 hubs after five rounds, not 16,
and each round costs a pass over files; all at once, hubs that are like each other would be compared
with everything twice.

The hub is the best-ranked, not the smallest key: were that document a the worst-ranked of three
copies, a ~ b and a ~ c would remove a and leave both b and c, which were never compared.

A document that was removed may come back: its survivor may go in a later round. So the rows of
removed documents stay in their bucket, each with the hubs that it has met; one that comes back
meets the hubs that it missed.

A document's identity is a uint64, (file index << 32 | row), so sorted identities are in reading
order. Everything here is a pure function of the set of rows: order and partition do not matter, as
long as a bucket is whole.
"""

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import numpy as np

from filters.kernels.compiled import kernel

MAX_HUBS = 32  # of a bucket: one bit of `Open.met` each

Columns = TypeVar("Columns", "Edges", "Open")


class Edges(NamedTuple):
    """Pairs to compare; the hub ranks better than the member. All (m,) uint64."""

    hub: np.ndarray
    member: np.ndarray
    hub_rank_high: np.ndarray
    hub_rank_low: np.ndarray
    member_rank_high: np.ndarray
    member_rank_low: np.ndarray


class Open(NamedTuple):
    """Rows of the buckets that may elect again, sorted by bucket, then rank; whole buckets only."""

    bucket: np.ndarray  # (r,) uint64
    doc: np.ndarray  # (r,) uint64
    rank_high: np.ndarray  # (r,) uint64
    rank_low: np.ndarray  # (r,) uint64
    elected: np.ndarray  # (r,) uint8: 1 for the bucket's first hub, 2 for its second; 0: never
    met: np.ndarray  # (r,) uint32: bit i is set if compared with hub number i + 1


def elect(
    bucket: np.ndarray, doc: np.ndarray, rank_high: np.ndarray, rank_low: np.ndarray
) -> tuple[Edges, Open]:
    """First round: every bucket of two documents or more elects its best-ranked as hub.

    Four (n,) uint64 arrays in any order; a row that stands twice counts once. `Open` has the
    buckets of three documents or more: a pair has nothing left to compare.
    """
    rows = _shared_buckets(bucket, doc, rank_high, rank_low)
    edges, rows = reelect(rows, np.zeros(0, np.uint64))
    return edges, take(rows, _bucket_sizes(rows) >= 3)


def reelect(rows: Open, removed: np.ndarray) -> tuple[Edges, Open]:
    """A later round, `removed` being the documents that do not stay, sorted ascending uint64.

    Each bucket with two documents or more that stay and were never its hub elects the best of
    them, as many as it has hubs. Edges are between documents that stay and have not met in this
    bucket.
    """
    live, starts = ~contains(removed, rows.doc), _bucket_starts(rows)
    elected, met = rows.elected.copy(), rows.met.copy()
    _elect_hubs(starts, live, elected)
    none = np.zeros(0, np.int64)
    num_edges = _meet_hubs(starts, live, elected, met, none, none)
    hub, member = np.empty(num_edges, np.int64), np.empty(num_edges, np.int64)
    if num_edges:
        _meet_hubs(starts, live, elected, met, hub, member)
    edges = Edges(
        *(rows.doc[hub], rows.doc[member]),
        *(rows.rank_high[hub], rows.rank_low[hub]),
        *(rows.rank_high[member], rows.rank_low[member]),
    )
    return edges, rows._replace(elected=elected, met=met)


def unique_edges(edges: Edges, known: Edges) -> Edges:
    """Each pair once, without the known ones, sorted by (member, hub): the order of reading."""
    both = concatenate([known, edges])
    is_new = np.arange(len(both.hub)) >= len(known.hub)
    order = np.lexsort((is_new, both.hub, both.member))
    both, is_new = take(both, order), is_new[order]
    repeats = (both.hub[1:] == both.hub[:-1]) & (both.member[1:] == both.member[:-1])
    is_new[1:] &= ~repeats
    return take(both, is_new)


def unresolved(rows: Open, removed: np.ndarray) -> np.ndarray:
    """Documents that stay without having met all others of a bucket that stay, sorted, uint64.

    An upper bound: some of those pairs have met in another bucket.
    """
    live = ~contains(removed, rows.doc)
    is_left = np.zeros(len(rows.doc), np.bool_)
    _mark_left(_bucket_starts(rows), live, rows.elected, rows.met, is_left)
    return np.unique(rows.doc[is_left])


def concatenate(parts: Iterable[Columns]) -> Columns:
    """Rows of at least one value, end to end."""
    parts = list(parts)
    return type(parts[0])(*map(np.concatenate, zip(*parts, strict=True)))


def take(columns: Columns, index: np.ndarray) -> Columns:
    """The rows of an index or mask."""
    return type(columns)(*(column[index] for column in columns))


def no_edges() -> Edges:
    """No pairs at all."""
    return Edges(*np.zeros((6, 0), np.uint64))


def contains(sorted_values: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Which of `values` are among `sorted_values`; bool."""
    if len(sorted_values) == 0:
        return np.zeros(len(values), np.bool_)
    at = np.minimum(np.searchsorted(sorted_values, values), len(sorted_values) - 1)
    found: np.ndarray = sorted_values[at] == values
    return found


def _shared_buckets(
    bucket: np.ndarray, doc: np.ndarray, rank_high: np.ndarray, rank_low: np.ndarray
) -> Open:
    """The rows of buckets of two documents or more, sorted by (bucket, rank, document)."""
    # Most buckets hold one document: leave them out before the sort by five words.
    order = np.argsort(bucket)
    order = order[_has_equal_neighbour(bucket[order])]
    order = order[np.lexsort((doc[order], rank_low[order], rank_high[order], bucket[order]))]
    bucket, doc = bucket[order], doc[order]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (bucket[1:] != bucket[:-1]) | (doc[1:] != doc[:-1])
    is_shared = np.zeros(len(order), np.bool_)
    is_shared[is_first] = _has_equal_neighbour(bucket[is_first])
    order, num_rows = order[is_shared], int(is_shared.sum())
    return Open(
        *(bucket[is_shared], doc[is_shared], rank_high[order], rank_low[order]),
        *(np.zeros(num_rows, np.uint8), np.zeros(num_rows, np.uint32)),
    )


def _has_equal_neighbour(sorted_values: np.ndarray) -> np.ndarray:
    equal = np.zeros(len(sorted_values) + 1, np.bool_)
    equal[1:-1] = sorted_values[1:] == sorted_values[:-1]
    neighbour: np.ndarray = equal[1:] | equal[:-1]
    return neighbour


def _bucket_starts(rows: Open) -> np.ndarray:
    """Where each bucket's rows begin, and the number of rows; int64 (num_buckets + 1,)."""
    changes = np.flatnonzero(rows.bucket[1:] != rows.bucket[:-1]) + 1
    first = [0] if len(rows.bucket) else []
    return np.concatenate((first, changes, [len(rows.bucket)])).astype(np.int64)


def _bucket_sizes(rows: Open) -> np.ndarray:
    """For each row the number of rows of its bucket."""
    sizes = np.diff(_bucket_starts(rows))
    return np.repeat(sizes, sizes)


@kernel
def _elect_hubs(starts: np.ndarray, live: np.ndarray, elected: np.ndarray) -> None:
    """Mark each bucket's first live rows that were never hub; the last such row needs none."""
    for bucket in range(len(starts) - 1):
        num_hubs, num_others = 0, 0
        for i in range(starts[bucket], starts[bucket + 1]):
            num_hubs += elected[i] > 0
            num_others += live[i] and elected[i] == 0
        num_wanted = min(max(num_hubs, 1), num_others - 1, MAX_HUBS - num_hubs)
        for i in range(starts[bucket], starts[bucket + 1]):
            if num_wanted > 0 and live[i] and elected[i] == 0:
                num_hubs, num_wanted = num_hubs + 1, num_wanted - 1
                elected[i] = num_hubs


@kernel
def _meet_hubs(
    starts: np.ndarray,
    live: np.ndarray,
    elected: np.ndarray,
    met: np.ndarray,
    hub: np.ndarray,
    member: np.ndarray,
) -> int:
    """Write the pairs of live rows and live hubs that have not met, and note that they have.

    Returns their number; with an empty `hub` it only counts. Of two hubs the later one keeps note.
    """
    num_edges = 0
    hubs = np.empty(MAX_HUBS, np.int64)
    for bucket in range(len(starts) - 1):
        num_hubs = _find_hubs(starts[bucket], starts[bucket + 1], elected, hubs)
        for i in range(starts[bucket], starts[bucket + 1]):
            if live[i]:
                for k in range(elected[i] - 1 if elected[i] else num_hubs):
                    if live[hubs[k]] and not met[i] >> np.uint32(k) & np.uint32(1):
                        if len(hub):
                            hub[num_edges] = min(i, hubs[k])  # rows are in the order of rank
                            member[num_edges] = max(i, hubs[k])
                            met[i] |= np.uint32(1) << np.uint32(k)
                        num_edges += 1
    return num_edges


@kernel
def _mark_left(
    starts: np.ndarray, live: np.ndarray, elected: np.ndarray, met: np.ndarray, is_left: np.ndarray
) -> None:
    """Mark the live rows that have not met all live rows of their bucket."""
    hubs = np.empty(MAX_HUBS, np.int64)
    for bucket in range(len(starts) - 1):
        start, stop = starts[bucket], starts[bucket + 1]
        num_hubs = _find_hubs(start, stop, elected, hubs)
        num_others = np.sum(live[start:stop] & (elected[start:stop] == 0))
        for i in range(start, stop):
            if live[i]:
                if not elected[i] and num_others >= 2:
                    is_left[i] = True
                for k in range(elected[i] - 1 if elected[i] else num_hubs):
                    if live[hubs[k]] and not met[i] >> np.uint32(k) & np.uint32(1):
                        is_left[i] = is_left[hubs[k]] = True


@kernel
def _find_hubs(start: int, stop: int, elected: np.ndarray, hubs: np.ndarray) -> int:
    """Write the rows of a bucket's hubs in the order of their election; how many."""
    num_hubs = 0
    for i in range(start, stop):
        if elected[i]:
            hubs[elected[i] - 1] = i
            num_hubs += 1
    return num_hubs
