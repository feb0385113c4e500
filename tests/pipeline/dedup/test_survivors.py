import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.candidates import Edges
from pipeline.dedup.config import DedupConfig, MinHashConfig
from pipeline.dedup.survivors import Verified, decide
from tests.pipeline.dedup import oracle
from tests.pipeline.dedup.resolving import bucket_table, resolve, verifier

THRESHOLD = 0.8


class Graph:
    """A similarity graph: the verifier of tests, which also notes what it was asked."""

    def __init__(self, similar):
        self.similar = {frozenset(pair): value for pair, value in dict(similar).items()}
        self.asked = []

    def __call__(self, edges: Edges) -> tuple[np.ndarray, np.ndarray]:
        pairs = list(zip(edges.hub.tolist(), edges.member.tolist(), strict=True))
        self.asked += map(frozenset, pairs)
        similarity = np.array([self.similar.get(frozenset(pair), 0.1) for pair in pairs])
        return similarity, similarity


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


A, B, C, D, E = range(5)


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
    similarity = np.array([0.85, 0.9, 0.9, 0.9])
    removals = decide(Verified(edges, similarity, similarity), THRESHOLD)
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
    found = resolve(table(rows[:-1]), lambda edges: np.full((2, len(edges.hub)), 0.9), THRESHOLD)
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
        return np.ones((2, len(edges.hub)))

    bands = [(np.full(num_docs, b, np.uint64), docs, docs[::-1], docs) for b in range(3)]
    found = resolve(tuple(map(np.concatenate, zip(*bands, strict=True))), verify, THRESHOLD)
    assert len(found.removals.doc) == num_docs - 1
    assert set(found.removals.survivor.tolist()) == {num_docs - 1}
    assert asked == [num_docs - 1]


def test_what_five_rounds_leave_is_counted():
    found = resolve(one_bucket(range(20)), Graph({}), THRESHOLD)
    assert found.num_unresolved == 4  # sixteen were hubs: four have not met each other
    assert resolve(one_bucket(range(20)), Graph({}), THRESHOLD, max_rounds=6).num_unresolved == 0


def test_pairs_below_the_threshold_are_kept_as_evidence():
    found = resolve(one_bucket([A, B]), Graph({(A, B): 0.6}), THRESHOLD)
    assert len(found.removals.doc) == 0
    assert found.verified.similarity.tolist() == [0.6]
    assert decide(found.verified, 0.5).doc.tolist() == [B]


def test_an_empty_table_removes_nothing():
    found = resolve(table([]), Graph({}), THRESHOLD)
    assert [len(column) for column in found.removals] == [0, 0, 0, 0]
    assert found.num_unresolved == 0


def contained(documents, policy=("priority", "longest", "id"), priority=None, threshold=0.9):
    """Who goes, by number, for whom: by containment, each pair being a candidate."""
    minhash = MinHashConfig(similarity="containment", threshold=threshold)
    config = DedupConfig.model_validate({"minhash": minhash, "survivor": policy})
    texts = pa.array([" ".join(words) for words in documents])
    keys = np.arange(2 * len(texts), dtype=np.uint64).reshape(-1, 2)
    table = bucket_table(texts, priority or [0] * len(texts), keys, config)
    ranks = {doc: (high, low) for _, doc, high, low in zip(*map(list, table), strict=True)}
    docs = np.arange(len(texts), dtype=np.uint64)
    high, low = np.array([ranks[doc] for doc in docs], np.uint64).reshape(-1, 2).T
    rows = (np.zeros(len(texts), np.uint64), docs, high, low)
    found = resolve(rows, verifier(texts, config), config.threshold, max_rounds=32)
    assert found.num_unresolved == 0
    return dict(zip(found.removals.doc.tolist(), found.removals.survivor.tolist(), strict=True))


LONG = [f"w{i}" for i in range(300)]
SHORT = LONG[100:160]


def test_a_contained_text_goes_for_the_one_that_contains_it():
    assert contained([SHORT, LONG]) == {0: 1}
    assert contained([LONG, SHORT]) == {1: 0}


def test_a_long_text_does_not_go_for_a_better_one_inside_of_it():
    assert contained([LONG, SHORT], priority=[0, 5]) == {}
    assert contained([LONG, SHORT], ("id",)) == {1: 0}
    assert contained([SHORT, LONG], ("id",)) == {}


def test_of_two_that_contain_each_other_the_rank_decides():
    almost = [*LONG[:-4], "other"]
    assert contained([LONG, almost]) == {1: 0}
    assert contained([LONG, almost], priority=[0, 5]) == {0: 1}


def test_containment_is_no_chain_either():
    # 2 is inside of 1, 1 inside of 0, and 2 inside of 0 too little: 2 stays when 1 has gone.
    middle = LONG[200:] + [f"m{i}" for i in range(10)]
    small = middle[-32:]
    assert contained([LONG, middle, small], threshold=0.8) == {1: 0}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(6, 40)), min_size=1, max_size=10),
    st.lists(st.integers(0, 2), min_size=10, max_size=10),
)
def test_by_containment_whoever_goes_is_inside_of_a_better_one_that_stays(spans, priority):
    documents = [LONG[start : start + length] for start, length in spans]
    priority = priority[: len(documents)]
    gone = contained(documents, priority=priority)
    sets = [oracle.shingle_set(" ".join(words), 5) for words in documents]
    # The order of the policy; texts of equal length are ordered by key, which is their number.
    order = sorted(
        range(len(documents)),
        key=lambda d: (-priority[d], -len(" ".join(documents[d])), d),
    )
    stays = []
    for doc in order:
        if not any(oracle.containment(sets[doc], sets[other]) >= 0.9 for other in stays):
            stays.append(doc)
    assert set(gone) == set(range(len(documents))) - set(stays)
    for doc, survivor in gone.items():
        assert survivor in stays
        assert oracle.containment(sets[doc], sets[survivor]) >= 0.9


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
    for doc, survivor, similarity, _ in zip(*map(np.ndarray.tolist, found.removals), strict=True):
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
    similarity = one.verified.similarity[index]
    edges = Edges(*(column[index] for column in one.verified.edges))
    shuffled = Verified(edges, similarity, similarity)
    assert [c.tolist() for c in decide(shuffled, THRESHOLD)] == [c.tolist() for c in one.removals]


def decided(similar, validate=()):
    """Who goes of a graph whose documents rank by their number: {document: (for whom, leak)}."""
    pairs = [(min(pair), max(pair), value) for pair, value in similar.items()]
    hub, member, similarity = (np.array(column) for column in zip(*pairs, strict=True))
    hub, member = hub.astype(np.uint64), member.astype(np.uint64)
    zero = np.zeros_like(hub)
    verified = Verified(Edges(hub, member, zero, hub, zero, member), similarity, similarity)
    removals = decide(verified, THRESHOLD, np.array(sorted(validate), np.uint64))
    doc, survivor, _, is_leak = (column.tolist() for column in removals)
    return dict(zip(doc, zip(survivor, is_leak, strict=True), strict=True))


def test_a_leak_takes_nothing_with_it():
    similar = {(A, B): 0.6, (A, C): 0.9, (B, C): 0.7}
    assert decided(similar) == {C: (A, False)}
    assert decided(similar, validate=[A]) == {A: (C, True)}  # C trains, and was removed for A only


def test_what_comes_back_may_leak_itself():
    similar = {(A, B): 0.6, (A, C): 0.9, (C, B): 0.7}
    assert decided(similar, validate=[A, C]) == {A: (B, True), C: (B, True)}


def test_a_leak_whose_evidence_goes_is_a_duplicate_of_what_came_back():
    # A leaks to C, so B is back, and removes C.
    similar = {(A, C): 0.6, (A, B): 0.9, (B, C): 0.85}
    assert decided(similar, validate=[A, B]) == {A: (B, False), C: (B, False)}


def test_a_leak_that_is_like_nothing_that_stays_is_no_leak():
    # A leaks to D and B to E; so C is back, which went for B, and D goes for C.
    similar = {(A, D): 0.6, (B, E): 0.6, (B, C): 0.9, (C, D): 0.9}
    assert decided(similar, validate=[A, B, C]) == {B: (E, True), D: (C, False)}


SIMILARITIES = st.dictionaries(
    st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda pair: pair[0] < pair[1]),
    st.sampled_from([0.3, 0.55, 0.7, 0.85, 0.9, 1.0]),
    min_size=1,
    max_size=30,
)


@settings(deadline=None, max_examples=300)
@given(SIMILARITIES, st.sets(st.integers(0, 9)))
def test_whoever_goes_is_like_one_that_stays_and_no_leak_is_left(similar, validate):
    found = decided(similar, validate)
    docs = {doc for pair in similar for doc in pair}
    stays = docs - set(found)
    for doc, (survivor, is_leak) in found.items():
        assert survivor in stays
        assert similar[min(doc, survivor), max(doc, survivor)] >= (0.5 if is_leak else THRESHOLD)
        assert not is_leak or (doc in validate and survivor not in validate)
    for (one, two), value in similar.items():
        if {one, two} <= stays:
            assert value < THRESHOLD
            assert value < 0.5 or (one in validate) == (two in validate)
