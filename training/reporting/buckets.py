"""Curves of any number of steps with a bounded number of points, without hiding extremes.

Steps are put into buckets of equally many; of each the mean, the least and the greatest finite
value are drawn. Up to `MAX_POINTS` steps every step is a point of its own.
"""

from dataclasses import dataclass

import numpy as np

MAX_POINTS = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """P points. NaN where a bucket has no finite value."""

    steps: np.ndarray  # (P,) float64, the middle of each bucket
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    size: int  # steps per point; the last bucket may have fewer

    @property
    def is_exact(self) -> bool:
        """Each point is a step."""
        return self.size == 1


def bucketed(steps: np.ndarray, values: np.ndarray, max_points: int = MAX_POINTS) -> Curve:
    """Values (N,) of steps (N,) in at most `max_points` buckets."""
    size = max(1, -(-len(steps) // max_points))
    starts = np.arange(0, len(steps), size)
    finite = np.isfinite(values)
    counts = _reduced(np.add, finite.astype(float), starts)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = _reduced(np.add, np.where(finite, values, 0.0), starts) / counts
    low = _reduced(np.minimum, np.where(finite, values, np.inf), starts)
    high = _reduced(np.maximum, np.where(finite, values, -np.inf), starts)
    is_empty = counts == 0
    ends = np.append(starts[1:], len(steps)) - 1
    return Curve(
        steps=(steps[starts] + steps[ends]) / 2 if len(steps) else np.empty(0),
        mean=np.where(is_empty, np.nan, mean),
        low=np.where(is_empty, np.nan, low),
        high=np.where(is_empty, np.nan, high),
        size=size,
    )


def summed(values: np.ndarray, size: int) -> np.ndarray:
    """Sums over buckets of `size`; NaN counts as 0."""
    return _reduced(np.add, np.nan_to_num(values), np.arange(0, len(values), size))


def note(curve: Curve) -> str:
    """How the curve is drawn, for a caption; empty where every step is."""
    if curve.is_exact:
        return ""
    return (
        f"Each point is the mean of {curve.size:,} steps; the band goes from the least to the "
        "greatest of them."
    )


def _reduced(operation: np.ufunc, values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    if not len(values):
        return np.empty(0)
    reduced: np.ndarray = operation.reduceat(values, starts)
    return reduced
