"""Samples hold copies together, scale to the whole, and stages end with their last item."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dedup.config import DedupConfig
from pipeline.planning.drawing import LEAST_ROWS, NUM_CLASSES, _groups
from pipeline.planning.duplicates import _of_source
from pipeline.planning.items import last_ends
from pipeline.planning.keys import sample_keys, together
from pipeline.report.plan import duration, rounded, size
from tests.pipeline.corpora import docstrings, near_copy

TEXTS = docstrings()


def test_copies_have_one_key_and_keys_are_spread_evenly() -> None:
    keys = sample_keys(pa.array(TEXTS), DedupConfig())
    again = sample_keys(pa.array([text.upper() for text in TEXTS]), DedupConfig())
    assert np.array_equal(keys, again)  # words are folded, as deduplication does
    counts = np.histogram(keys, bins=10, range=(0, 1))[0]
    assert counts.min() > 0.6 * len(TEXTS) / 10
    assert counts.max() < 1.5 * len(TEXTS) / 10


def test_near_copies_have_one_key_as_often_as_is_said() -> None:
    config = DedupConfig()
    texts = [text for text in TEXTS if len(text.split()) > 100]
    near = [near_copy(text, n) for n, text in enumerate(texts)]
    same = sample_keys(pa.array(texts), config) == sample_keys(pa.array(near), config)
    shingles = np.array([len(text.split()) - 4 for text in texts])
    expected = together((shingles - 5) / (shingles + 5)).mean()  # five shingles of each differ
    assert same.mean() == pytest.approx(expected, abs=0.1)


def test_without_minhash_copies_still_have_one_key() -> None:
    keys = sample_keys(pa.array(["a b", "a b", "c"]), DedupConfig(minhash=None))
    assert keys[0] == keys[1] != keys[2]


@given(st.lists(st.integers(0, 50), min_size=NUM_CLASSES, max_size=NUM_CLASSES))
def test_every_class_of_sizes_is_in_one_group(drawn: list[int]) -> None:
    counts = np.array(drawn)
    groups = _groups(counts, counts * 3)
    assert sorted(number for group in groups for number in group) == list(range(NUM_CLASSES))
    if counts.sum() >= LEAST_ROWS:
        assert all(counts[group].sum() for group in groups)


@given(st.lists(st.floats(0, 100), max_size=40), st.integers(1, 8))
def test_stage_lasts_at_least_its_longest_item_and_its_share(
    seconds: list[float], workers: int
) -> None:
    end = last_ends(seconds, workers)
    assert end >= max(seconds, default=0.0)
    assert end >= sum(seconds) / workers - 1e-6
    assert end <= sum(seconds) / workers + max(seconds, default=0.0) + 1e-6


def test_interval_is_a_point_where_everything_was_drawn_and_wide_where_copies_cluster() -> None:
    ones = np.ones(20)
    whole = _of_source(["near_duplicate"] * 20, ones, ones, np.arange(20), 1.0)
    assert (whole.low, whole.total, whole.high) == (20, 20, 20)
    tenth = ones / 10
    apart = _of_source(["near_duplicate"] * 20, ones * 10, tenth, np.arange(20), 1.0)
    cluster = _of_source(["near_duplicate"] * 20, ones * 10, tenth, np.zeros(20, int), 1.0)
    assert apart.total == cluster.total == pytest.approx(200)
    assert cluster.high - cluster.low > 2 * (apart.high - apart.low)
    partly = _of_source(["near_duplicate"] * 20, ones, ones, np.arange(20), 0.25)
    assert (partly.low, partly.total, partly.high) == (20, 40, 80)


@given(st.integers(0, 10**15))
def test_rounded_numbers_have_three_digits_and_are_close(number: int) -> None:
    shown = int(rounded(number).replace(",", ""))
    assert shown == pytest.approx(number, rel=0.006, abs=0)
    assert len(str(shown).rstrip("0")) <= 3


def test_sizes_and_times_are_told_in_fitting_units() -> None:
    assert [size(n) for n in (10, 2e3, 3e6, 4.2e9)] == ["10 bytes", "2.0 KB", "3.0 MB", "4.2 GB"]
    assert [duration(n) for n in (1, 600, 36000)] == ["1.0 s", "10 min", "10.0 h"]
