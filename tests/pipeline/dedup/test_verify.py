import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup.config import DedupConfig, MinHashConfig
from pipeline.dedup.signature import sign
from pipeline.dedup.verify import containment, jaccard, shingle_sets
from tests.pipeline.dedup import oracle

CONFIG = DedupConfig()


def similarity(one: str | None, two: str | None, config: DedupConfig = CONFIG) -> float:
    sets = shingle_sets(pa.array([one, two], pa.string()), config)
    return float(jaccard(sets, np.array([0]), sets, np.array([1]))[0])


@settings(max_examples=150, deadline=None)
@given(oracle.TEXTS, oracle.TEXTS, st.integers(1, 6), st.sampled_from(["words", "characters"]))
def test_similarities_equal_those_of_python_sets(left, right, ngram, kind):
    config = DedupConfig(minhash=MinHashConfig(ngram=ngram, shingles=kind))
    left_sets = shingle_sets(oracle.sliced(left), config)
    right_sets = shingle_sets(pa.array(right, pa.string()), config)
    rows, columns = np.indices((len(left), len(right))).reshape(2, -1)
    ours, theirs = (
        [oracle.shingle_set(text, ngram, kind == "characters") for text in texts]
        for texts in (left, right)
    )
    pairs = [(ours[i], theirs[j]) for i, j in zip(rows, columns, strict=True)]
    found = jaccard(left_sets, rows, right_sets, columns).tolist()
    assert found == [oracle.jaccard(one, two) for one, two in pairs]
    of_left, of_right = containment(left_sets, rows, right_sets, columns)
    assert of_left.tolist() == [oracle.containment(one, two) for one, two in pairs]
    assert of_right.tolist() == [oracle.containment(two, one) for one, two in pairs]


@settings(max_examples=60, deadline=None)
@given(oracle.TEXTS)
def test_sets_are_sorted_distinct_and_never_empty(texts):
    sets = shingle_sets(pa.array(texts, pa.string()), CONFIG)
    assert len(sets.offsets) == len(texts) + 1
    assert sets.offsets[-1] == len(sets.hashes)
    for start, stop in zip(sets.offsets, sets.offsets[1:], strict=False):
        values = sets.hashes[start:stop].tolist()
        assert values
        assert values == sorted(set(values))


def test_short_documents_are_equal_or_unlike():
    assert similarity("To be, or", "to be or") == 1.0
    assert similarity("to be or", "to be and") == 0.0
    assert similarity("!!!", "???") == 0.0
    assert similarity(None, " ") == 1.0
    assert similarity("one two three four", "one two three four five") == 0.0


def test_a_short_text_is_contained_in_a_long_one_and_not_the_other_way_round():
    short = " ".join(f"w{i}" for i in range(20))
    sets = shingle_sets(pa.array([f"before it {short} and after", short, "w3 w4"]), CONFIG)
    of_long, of_short = containment(sets, np.array([0, 0]), sets, np.array([1, 2]))
    assert of_short.tolist() == [1.0, 0.0]  # the last has no shingle: its words are no part
    assert of_long.tolist() == [16 / 20, 0.0]


def test_verification_does_not_reuse_the_hash_of_the_bucket():
    texts = pa.array(["to be", "!"])
    bucket, verified = sign(texts, CONFIG).exact_hash, shingle_sets(texts, CONFIG).hashes
    assert not set(bucket.tolist()) & set(verified.tolist())


def test_an_empty_batch_has_no_sets():
    sets = shingle_sets(pa.array([], pa.string()), CONFIG)
    none = np.zeros(0, np.int64)
    assert sets.offsets.tolist() == [0]
    assert len(jaccard(sets, none, sets, none)) == 0


@pytest.mark.parametrize("index", [-1, 2])
def test_an_index_without_a_set_is_refused(index):
    sets = shingle_sets(pa.array(["a", "b"]), CONFIG)
    with pytest.raises(IndexError, match=r"want 0\.\.1"):
        jaccard(sets, np.array([0]), sets, np.array([index]))
    with pytest.raises(IndexError, match="want pairs"):
        jaccard(sets, np.array([0]), sets, np.array([0, 1]))
