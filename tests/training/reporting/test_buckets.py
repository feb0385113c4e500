"""Curves of any number of steps: bounded, and nothing that stands out is lost."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.reporting.buckets import MAX_POINTS, bucketed, note, summed

FIGURES = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(st.lists(FIGURES, max_size=700))
def test_extremes_are_kept_and_points_are_bounded(values: list[float]) -> None:
    column = np.array(values, dtype=float)
    curve = bucketed(np.arange(len(column)), column)
    assert len(curve.mean) <= MAX_POINTS
    finite = column[np.isfinite(column)]
    if len(finite):
        assert np.nanmin(curve.low) == finite.min()
        assert np.nanmax(curve.high) == finite.max()
    there = np.isfinite(curve.mean)
    slack = 1e-6 * np.maximum(1, np.abs(curve.mean[there]))
    assert (curve.low[there] <= curve.mean[there] + slack).all()
    assert (curve.mean[there] <= curve.high[there] + slack).all()


@given(st.lists(st.integers(0, 9), max_size=50), st.integers(1, 9))
def test_sums_over_buckets_add_up(values: list[int], size: int) -> None:
    assert summed(np.array(values, dtype=float), size).sum() == sum(values)


def test_few_steps_are_drawn_as_they_are() -> None:
    curve = bucketed(np.array([1, 2, 5]), np.array([3.0, np.nan, 1.0]))
    assert curve.is_exact
    assert note(curve) == ""
    np.testing.assert_array_equal(curve.mean, [3.0, np.nan, 1.0])
    assert "mean of 2 steps" in note(bucketed(np.arange(400), np.ones(400)))
