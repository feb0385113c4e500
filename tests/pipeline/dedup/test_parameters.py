import pytest
from datasketch.lsh import _optimal_param

from pipeline.dedup.config import DedupConfig, MinHashConfig
from pipeline.dedup.parameters import best_bands


@pytest.mark.parametrize("threshold", [0.1, 0.35, 0.5, 0.7, 0.8, 0.87, 0.95])
@pytest.mark.parametrize("num_perm", [1, 7, 112, 128])
@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.05, 0.95), (0.9, 0.1)])
def test_bands_and_rows_are_those_of_datasketch(threshold, num_perm, weights):
    assert best_bands(threshold, num_perm, *weights) == _optimal_param(
        threshold, num_perm, *weights
    )


def test_no_signature_is_too_long_to_choose_for():
    bands, rows = best_bands(0.02, 4096, 0.05, 0.95)
    assert bands <= 255
    assert bands * rows <= 4096
    assert best_bands(1.0, 4096, 0.95, 0.05) == (1, 255)


def test_without_numbers_fine_webs_bands_are_chosen():
    config = MinHashConfig()
    assert (config.num_perm, config.bands, config.rows) == (112, 14, 8)
    assert "bands" not in config.model_fields_set


def test_a_lower_threshold_makes_more_bands_of_fewer_rows():
    near, far = MinHashConfig(threshold=0.9), MinHashConfig(threshold=0.5)
    assert (near.bands, near.rows) == (8, 13)
    assert (far.bands, far.rows) == (26, 3)
    apart = MinHashConfig(threshold=0.9, candidate_threshold=0.5)
    assert (apart.threshold, apart.bands, apart.rows) == (0.9, 26, 3)


def test_weights_and_permutations_decide_too():
    even = MinHashConfig(false_positive_weight=0.5, false_negative_weight=0.5)
    assert (even.bands, even.rows) == (9, 12)
    assert MinHashConfig(num_perm=256).bands > 14


def test_numbers_given_by_hand_stay():
    config = MinHashConfig(threshold=0.5, bands=3, rows=30)
    assert (config.bands, config.rows) == (3, 30)


def test_what_was_chosen_is_written_and_read_back_as_it_was():
    config = DedupConfig(minhash=MinHashConfig(threshold=0.7, shingles="characters"))
    values = config.model_dump(mode="json")
    assert values["minhash"]["bands"] == 18
    assert values["minhash"]["rows"] == 6
    assert values["minhash"]["ngram"] == 24
    assert values["minhash"]["candidate_threshold"] == 0.7
    assert DedupConfig.model_validate(values) == config
