import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.candidates import (
    Edges,
    concatenate,
    contains,
    elect,
    no_edges,
    reelect,
    unique_edges,
    unresolved,
)

NONE = np.zeros(0, np.uint64)


def table(rows):
    """Bucket table of (bucket, document) rows; a document's number is its rank too."""
    columns = np.array(rows, np.uint64).reshape(-1, 2)
    return columns[:, 0], columns[:, 1], columns[:, 1] // np.uint64(4), columns[:, 1]


def pairs(edges):
    return sorted(zip(edges.hub.tolist(), edges.member.tolist(), strict=True))


def docs(*values):
    return np.array(values, np.uint64)


def test_the_hub_is_the_best_ranked_not_the_smallest_document():
    bucket, doc = docs(7, 7, 7), docs(1, 2, 3)
    edges, left = elect(bucket, doc, docs(2, 1, 1), docs(0, 9, 8))
    assert pairs(edges) == [(3, 1), (3, 2)]
    assert edges.hub_rank_low.tolist() == [8, 8]
    assert left.doc.tolist() == [3, 2, 1]
    assert left.elected.tolist() == [1, 0, 0]


def test_equal_ranks_are_ordered_by_document():
    edges, _ = elect(docs(1, 1), docs(9, 4), docs(0, 0), docs(0, 0))
    assert pairs(edges) == [(4, 9)]


def test_single_documents_and_repeated_rows_give_no_pair():
    edges, left = elect(*table([(1, 1), (2, 2), (3, 3), (3, 3), (3, 3)]))
    assert pairs(edges) == []
    assert len(left.doc) == 0


def test_a_bucket_of_two_is_closed_after_its_first_round():
    edges, left = elect(*table([(1, 1), (1, 2), (2, 1), (2, 2), (2, 3)]))
    assert pairs(edges) == [(1, 2), (1, 2), (1, 3)]
    assert left.bucket.tolist() == [2, 2, 2]


def test_an_empty_table_gives_nothing():
    edges, left = elect(*table([]))
    assert [len(column) for column in (*edges, *left)] == [0] * 12
    assert len(reelect(left, NONE)[0].hub) == 0
    assert len(unresolved(left, NONE)) == 0
    assert len(unique_edges(edges, no_edges()).hub) == 0


def test_members_that_stay_elect_the_best_that_was_never_hub():
    _, left = elect(*table([(1, d) for d in range(5)]))
    edges, left = reelect(left, docs(2))
    assert pairs(edges) == [(1, 3), (1, 4)]
    edges, left = reelect(left, docs(2))
    assert pairs(edges) == [(3, 4)]
    edges, left = reelect(left, docs(2))
    assert pairs(edges) == []


def test_a_bucket_has_twice_as_many_hubs_after_each_later_round():
    num_docs, met = 100, []
    edges, left = elect(*table([(1, d) for d in range(num_docs)]))
    for num_hubs in (1, 2, 4, 8, 16, 32, 32):
        met += pairs(edges)
        assert sorted(left.elected[left.elected > 0]) == list(range(1, num_hubs + 1))
        assert sorted(met) == [(h, d) for h in range(num_hubs) for d in range(h + 1, num_docs)]
        edges, left = reelect(left, NONE)
    assert len(unresolved(left, NONE)) == num_docs - 32


def test_one_document_that_stays_elects_nothing():
    _, left = elect(*table([(1, d) for d in range(4)]))
    assert pairs(reelect(left, docs(0, 1, 3))[0]) == []
    assert pairs(reelect(left, docs(1, 3))[0]) == []


def test_a_document_that_comes_back_meets_the_hubs_it_missed():
    _, left = elect(*table([(1, d) for d in range(5)]))
    _, left = reelect(left, docs(4))  # 1 meets 2 and 3
    _, left = reelect(left, docs(4))  # 2 meets 3
    edges, left = reelect(left, NONE)  # 4 is back: 0 it has met, 1 and 2 not
    assert pairs(edges) == [(1, 4), (2, 4), (3, 4)]
    assert pairs(reelect(left, NONE)[0]) == []


def test_a_hub_that_comes_back_meets_the_hub_that_took_its_place():
    _, left = elect(*table([(1, d) for d in range(1, 5)]))
    _, left = reelect(left, docs(2))  # 3 becomes hub while 2 is away
    edges, left = reelect(left, docs(3))  # 2 comes back and is alone with 4, new hub of it
    assert pairs(edges) == [(2, 4)]
    edges, left = reelect(left, NONE)
    assert pairs(edges) == [(2, 3)]


def test_unresolved_documents_are_those_that_have_not_met():
    _, left = elect(*table([(1, d) for d in range(4)] + [(2, 8), (2, 9), (2, 10)]))
    assert unresolved(left, NONE).tolist() == [1, 2, 3, 9, 10]
    assert unresolved(left, docs(2, 9)).tolist() == [1, 3]
    assert unresolved(left, docs(1, 2, 9)).tolist() == []
    _, left = reelect(left, docs(2, 9))
    assert unresolved(left, docs(3, 9)).tolist() == [1, 2]  # 2 has not met 1, the second hub


def test_unique_edges_are_in_reading_order_without_the_known():
    edges, _ = elect(*table([(b, d) for b in (5, 6) for d in (3, 1, 2)] + [(7, 2), (7, 3)]))
    assert len(edges.hub) == 5
    fresh = unique_edges(edges, no_edges())
    assert list(zip(fresh.member.tolist(), fresh.hub.tolist(), strict=True)) == [
        (2, 1),
        (3, 1),
        (3, 2),
    ]
    known = Edges(*(column[1:2] for column in fresh))
    assert pairs(unique_edges(edges, known)) == [(1, 2), (2, 3)]
    assert pairs(unique_edges(edges, fresh)) == []


ROWS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 20)), max_size=60)


@settings(deadline=None)
@given(ROWS, st.sets(st.integers(0, 20)), st.randoms(use_true_random=False))
def test_order_and_partition_of_the_rows_do_not_matter(rows, removed, random):
    gone = np.array(sorted(removed), np.uint64)
    edges, left = elect(*table(rows))
    edges2, left2 = reelect(left, gone)
    shuffled = random.sample(rows, len(rows))
    parts = [elect(*table([r for r in shuffled if r[0] % 3 == k])) for k in range(3)]
    assert pairs(concatenate([part[0] for part in parts])) == pairs(edges)
    again = [reelect(part[1], gone) for part in parts]
    assert pairs(concatenate([part[0] for part in again])) == pairs(edges2)
    assert sorted(zip(*concatenate([p[1] for p in again]), strict=True)) == sorted(
        zip(*left2, strict=True)
    )


@settings(deadline=None)
@given(ROWS, st.lists(st.sets(st.integers(0, 20)), max_size=6))
def test_no_pair_of_a_bucket_is_asked_twice_and_all_who_stay_meet_in_the_end(rows, away):
    edges, left = elect(*table(rows))
    asked = list(zip(edges.hub.tolist(), edges.member.tolist(), strict=True))
    by_bucket = {b: {d for c, d in rows if c == b} for b, _ in rows}
    for removed in [*away, *[set()] * 21]:
        gone = np.array(sorted(removed), np.uint64)
        edges, left = reelect(left, gone)
        assert not contains(gone, edges.hub).any()
        assert not contains(gone, edges.member).any()
        asked += pairs(edges)
    assert len(unresolved(left, NONE)) == 0
    expected = [
        (one, two) for found in by_bucket.values() for one in found for two in found if one < two
    ]
    assert sorted(asked) == sorted(expected)


def test_two_hundred_thousand_identical_documents_stay_linear():
    num_docs = 200_000
    doc = np.arange(num_docs, dtype=np.uint64)
    bucket = np.zeros(num_docs, np.uint64)
    edges, left = elect(bucket, doc, doc[::-1].copy(), doc)
    assert len(edges.hub) == num_docs - 1
    edges, left = reelect(left, doc[:-1])
    assert len(edges.hub) == 0
