import pytest
from pydantic import ValidationError

from pipeline.dedup.config import DedupConfig, MinHashConfig


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


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"minhash": {"bands": 15}}, "15 \\* 8 = 120 is more than num_perm = 112.*num_perm to 120"),
        ({"minhash": {"verify": False}}, "want true"),
        ({"minhash": {"threshold": 0}}, "greater than 0"),
        ({"minhash": {"band": 3}}, "Extra inputs"),
        ({"survivor": ["longest", "longest"]}, "stands twice"),
        ({"survivor": ["id", "longest"]}, "want 'id' last"),
        ({"survivor": ["newest"]}, "'priority', 'longest' or 'id'"),
    ],
)
def test_bad_values_are_refused_with_what_is_wanted(values, message):
    with pytest.raises(ValidationError, match=message):
        DedupConfig.model_validate(values)
