import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.candidates import Edges
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.ranks import policy_rank
from pipeline.dedup.signature import buckets, sign
from pipeline.dedup.survivors import Verified, decide, resolve
from pipeline.dedup.verify import jaccard, shingle_sets
from tests.pipeline.dedup import oracle

THRESHOLD = 0.8


class Graph:
    """A similarity graph: the verifier of tests, which also notes what it was asked."""

    def __init__(self, similar):
        self.similar = {frozenset(pair): value for pair, value in dict(similar).items()}
        self.asked = []

    def __call__(self, edges: Edges) -> np.ndarray:
        pairs = list(zip(edges.hub.tolist(), edges.member.tolist(), strict=True))
        self.asked += map(frozenset, pairs)
        return np.array([self.similar.get(frozenset(pair), 0.1) for pair in pairs])


def table(rows, rank=None):
    """Bucket table of (bucket, document) rows; without `rank` a document's number is its rank."""
    columns = np.array(rows, np.uint64).reshape(-1, 2)
    ranks = [rank[d] if rank else d for d in columns[:, 1].tolist()]
    return (
        columns[:, 0],
        columns[:, 1],
        np.zeros(len(columns), np.uint64),
        np.array(ranks, np.uint64),
    )


def one_bucket(docs, rank=None):
    return table([(1, d) for d in docs], rank)


def survivors(docs, resolution):
    return set(docs) - set(resolution.removals.doc.tolist())


A, B, C, D = 0, 1, 2, 3


def test_a_worst_ranked_middle_goes_and_both_its_unlike_neighbours_stay():
    graph = Graph({(A, B): 0.9, (A, C): 0.85})
    found = resolve(one_bucket([A, B, C], rank={A: 9, B: 1, C: 2}), graph, THRESHOLD)
    assert found.removals.doc.tolist() == [A]
    assert found.removals.survivor.tolist() == [B]
    assert found.removals.similarity.tolist() == [0.9]
    assert found.num_unresolved == 0


def test_the_most_similar_survivor_is_recorded_and_of_equals_the_best_ranked():
    hub, member = np.array([A, B, A, B], np.uint64), np.array([C, C, D, D], np.uint64)
    edges = Edges(hub, member, 0 * hub, hub, 0 * member, member)
    removals = decide(Verified(edges, np.array([0.85, 0.9, 0.9, 0.9])), THRESHOLD)
    assert removals.doc.tolist() == [C, D]
    assert removals.survivor.tolist() == [B, A]
    assert removals.similarity.tolist() == [0.9, 0.9]


def test_the_ends_of_a_chain_are_not_merged():
    chain = Graph({(d, d + 1): 0.9 for d in range(9)})
    found = resolve(one_bucket(range(10)), chain, THRESHOLD, max_rounds=10)
    assert survivors(range(10), found) == {0, 2, 4, 6, 8}
    assert found.removals.survivor.tolist() == [0, 2, 4, 6, 8]


def test_a_long_chain_over_many_buckets_does_not_collapse():
    num_docs = 20_000  # connected components would leave one document
    docs = np.arange(num_docs, dtype=np.uint64)
    rows = np.concatenate([np.stack([docs, docs], 1), np.stack([docs, docs + np.uint64(1)], 1)])
    found = resolve(table(rows[:-1]), lambda edges: np.full(len(edges.hub), 0.9), THRESHOLD)
    assert found.removals.doc.tolist() == list(range(1, num_docs, 2))


def test_a_member_whose_survivor_goes_later_is_decided_again():
    # Round 1 removes 2 for 1 and finds 1 unlike its hub 0; round 2 finds 1 like 9, and 2 is back.
    graph = Graph({(1, 2): 0.9, (1, 9): 0.9})
    rows = [(1, 1), (1, 2), (2, 0), (2, 1), (2, 9)]
    found = resolve(table(rows, rank={0: 0, 9: 1, 1: 2, 2: 3}), graph, THRESHOLD)
    assert found.removals.doc.tolist() == [1]
    assert found.removals.survivor.tolist() == [9]


def test_of_three_copies_the_highest_priority_stays_whatever_the_keys():
    config = DedupConfig()
    text = "it was the best of times it was the worst of times it was the age of wisdom " * 4
    texts = pa.array([text, text + "it was", text + "it was the"])
    key_words = np.array([[1 << 60, 0], [2 << 60, 0], [3 << 60, 0]], np.uint64)  # smallest: worst
    found = resolve(
        bucket_table(texts, [0, 5, 10], key_words, config), verifier(texts, config), 0.8
    )
    assert found.removals.doc.tolist() == [0, 1]
    assert found.removals.survivor.tolist() == [2, 2]


@pytest.mark.parametrize("text", ["one row in two files " * 9, "short row", "!", ""])
def test_one_row_in_two_files_leaves_one(text):
    texts = pa.array([text, text])
    keys = np.array([[2 << 60, 0], [1 << 60, 0]], np.uint64)
    for config in (DedupConfig(), DedupConfig(minhash=None), DedupConfig(exact=False)):
        rows = bucket_table(texts, [0, 0], keys, config)
        found = resolve(rows, verifier(texts, config), config.threshold)
        assert found.removals.doc.tolist() == [0]
        assert found.removals.similarity.tolist() == [1.0]


def test_different_short_texts_all_stay():
    texts = pa.array(["!!!", "???", "a", "b", "a b", "b a", "a b c d", "漢字"])
    keys = np.arange(16, dtype=np.uint64).reshape(8, 2)
    config = DedupConfig()
    rows = bucket_table(texts, [0] * 8, keys, config)
    assert len(resolve(rows, verifier(texts, config), 0.8).removals.doc) == 0


def test_two_hundred_thousand_identical_documents_leave_one_in_linear_time():
    num_docs = 200_000
    docs = np.arange(num_docs, dtype=np.uint64)
    asked = []

    def verify(edges):
        asked.append(len(edges.hub))
        return np.ones(len(edges.hub))

    started = time.perf_counter()
    bands = [(np.full(num_docs, b, np.uint64), docs, docs[::-1], docs) for b in range(3)]
    found = resolve(tuple(map(np.concatenate, zip(*bands, strict=True))), verify, THRESHOLD)
    assert time.perf_counter() - started < 20  # 1 s; a quadratic one takes an hour
    assert len(found.removals.doc) == num_docs - 1
    assert set(found.removals.survivor.tolist()) == {num_docs - 1}
    assert asked == [num_docs - 1]


def test_what_five_rounds_leave_is_counted():
    found = resolve(one_bucket(range(9)), Graph({}), THRESHOLD)
    assert found.num_unresolved == 4  # five were hubs: four have not met each other
    assert resolve(one_bucket(range(9)), Graph({}), THRESHOLD, max_rounds=8).num_unresolved == 0


def test_pairs_below_the_threshold_are_kept_as_evidence():
    found = resolve(one_bucket([A, B]), Graph({(A, B): 0.6}), THRESHOLD)
    assert len(found.removals.doc) == 0
    assert found.verified.similarity.tolist() == [0.6]
    assert decide(found.verified, 0.5).doc.tolist() == [B]


def test_an_empty_table_removes_nothing():
    found = resolve(table([]), Graph({}), THRESHOLD)
    assert [len(column) for column in found.removals] == [0, 0, 0]
    assert found.num_unresolved == 0


@pytest.mark.parametrize("max_rounds", [0, 33])
def test_an_impossible_number_of_rounds_is_refused(max_rounds):
    with pytest.raises(ValueError, match=r"want 1\.\.32"):
        resolve(table([]), Graph({}), THRESHOLD, max_rounds)


PAIRS = st.tuples(st.integers(0, 15), st.integers(0, 15)).filter(lambda p: p[0] < p[1])
GRAPHS = st.dictionaries(PAIRS, st.sampled_from([0.5, 0.8, 0.9, 1.0]), max_size=50)
RANKS = st.permutations(range(16)).map(lambda order: dict(enumerate(order)))
ROWS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 15)), max_size=80)


@settings(max_examples=200, deadline=None)
@given(GRAPHS, RANKS, ROWS, st.integers(1, 6))
def test_whoever_goes_is_like_a_better_one_that_stays(graph, rank, rows, max_rounds):
    verify = Graph(graph)
    found = resolve(table(rows, rank), verify, THRESHOLD, max_rounds)
    stays = survivors(range(16), found)
    for doc, survivor, similarity in zip(*map(np.ndarray.tolist, found.removals), strict=True):
        assert survivor in stays
        assert rank[survivor] < rank[doc]
        assert verify.similar[frozenset((doc, survivor))] == similarity >= THRESHOLD
        assert frozenset((doc, survivor)) in verify.asked
    assert len(verify.asked) == len(set(verify.asked))  # no pair is verified twice


@settings(max_examples=200, deadline=None)
@given(GRAPHS, RANKS, ROWS)
def test_with_rounds_enough_it_is_the_greedy_choice_over_all_pairs_of_all_buckets(
    graph, rank, rows
):
    found = resolve(table(rows, rank), Graph(graph), THRESHOLD, max_rounds=32)
    together = {
        frozenset((one, two)) for b, one in rows for c, two in rows if b == c and one != two
    }
    similar = {frozenset(p) for p, value in graph.items() if value >= THRESHOLD} & together
    assert found.num_unresolved == 0
    assert survivors(range(16), found) == oracle.greedy(sorted(range(16), key=rank.get), similar)


@settings(max_examples=100, deadline=None)
@given(GRAPHS, RANKS)
def test_five_rounds_on_one_bucket_are_the_greedy_choice_where_they_suffice(graph, rank):
    found = resolve(one_bucket(range(16), rank), Graph(graph), THRESHOLD)
    similar = {frozenset(p) for p, value in graph.items() if value >= THRESHOLD}
    greedy = oracle.greedy(sorted(range(16), key=rank.get), similar)
    assert found.num_unresolved > 0 or survivors(range(16), found) == greedy


@settings(max_examples=100, deadline=None)
@given(GRAPHS, RANKS, ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_edges_does_not_matter(graph, rank, rows, random):
    one = resolve(table(rows, rank), Graph(graph), THRESHOLD)
    two = resolve(table(random.sample(rows, len(rows)), rank), Graph(graph), THRESHOLD)
    for left, right in zip(one.removals, two.removals, strict=True):
        assert left.tolist() == right.tolist()
    order = random.sample(range(len(one.verified.similarity)), len(one.verified.similarity))
    index = np.array(order, np.int64)
    shuffled = Verified(
        Edges(*(column[index] for column in one.verified.edges)), one.verified.similarity[index]
    )
    assert [c.tolist() for c in decide(shuffled, THRESHOLD)] == [c.tolist() for c in one.removals]


def bucket_table(texts, priority, key_words, config):
    """What the pipeline does: sign, band, rank."""
    found = buckets(sign(texts, config), config)
    length = np.array([len(text) for text in texts.to_pylist()], np.int64)
    ranks = policy_rank(np.array(priority), length, key_words, config.survivor)
    row = found.row
    return found.bucket, row.astype(np.uint64), ranks.high[row], ranks.low[row]


def verifier(texts, config):
    sets = shingle_sets(texts, config)
    return lambda edges: jaccard(sets, edges.hub, sets, edges.member)
