import pytest
from pydantic import ValidationError

from pipeline.dedup.config import DedupConfig, MinHashConfig
from pipeline.dedup.policy import SignalRule

LOW = {"signal": "a.b", "prefer": "low"}
OTHER = {"signal": "c.d", "prefer": "high"}


def test_the_defaults_are_those_of_the_manifest():
    config = DedupConfig()
    assert config.survivor == ("priority", "longest", "id")
    assert config.minhash == MinHashConfig(
        ngram=5, num_perm=112, bands=14, rows=8, threshold=0.8, verify=True, seed=1
    )
    assert (config.ngram, config.threshold) == (5, 0.8)


def test_exact_only_accepts_nothing_but_equal_sets():
    assert DedupConfig(minhash=None).threshold == 1.0
    assert DedupConfig(minhash=None).ngram == 5
    assert not DedupConfig(minhash=None).by_characters
    assert not DedupConfig(minhash=None).by_containment


def test_the_longest_policy_that_is_promised_fits():
    config = DedupConfig.model_validate({"survivor": ["priority", "newest", "longest", LOW, "id"]})
    assert config.survivor[3] == SignalRule(signal="a.b", prefer="low")
    assert DedupConfig.model_validate(config.model_dump(mode="json")) == config
    assert hash(config)


def test_shingles_of_characters_have_an_ngram_of_their_own():
    assert MinHashConfig(shingles="characters").ngram == 24
    assert MinHashConfig(shingles="characters", ngram=9).ngram == 9
    assert DedupConfig(minhash=MinHashConfig(shingles="characters")).by_characters


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"minhash": {"bands": 15, "rows": 8}},
            "15 \\* 8 = 120 is more than num_perm = 112.*num_perm to 120",
        ),
        ({"minhash": {"bands": 15}}, "bands is given without rows; want both, or neither"),
        ({"minhash": {"rows": 4}}, "rows is given without bands"),
        ({"minhash": {"shingles": "bytes"}}, "'words' or 'characters'"),
        ({"minhash": {"similarity": "cosine"}}, "'jaccard' or 'containment'"),
        ({"minhash": {"false_negative_weight": -1}}, "greater than or equal to 0"),
        ({"minhash": {"verify": False}}, "want true"),
        ({"minhash": {"threshold": 0}}, "greater than 0"),
        ({"minhash": {"band": 3}}, "Extra inputs"),
        ({"survivor": ["longest", "longest"]}, "stands twice"),
        ({"survivor": ["id", "longest"]}, "want 'id' last"),
        ({"survivor": ["newset"]}, "'priority', 'longest', 'newest' or 'id'"),
        ({"survivor": [{"signal": "a.b"}]}, "prefer"),
        ({"survivor": [{"signal": "a.b", "prefer": "most"}]}, "'high' or 'low'"),
        ({"survivor": [{**LOW, "prefer": "high"}, LOW]}, "stands twice"),
        (
            {"survivor": ["priority", "newest", "longest", LOW, OTHER, "id"]},
            "take 152 bits of a rank \\(priority 16, newest 36, longest 36, a.b 32, c.d 32\\)",
        ),
    ],
)
def test_bad_values_are_refused_with_what_is_wanted(values, message):
    with pytest.raises(ValidationError, match=message):
        DedupConfig.model_validate(values)
