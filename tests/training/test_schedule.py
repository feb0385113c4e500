"""The learning rate."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.config import LearningRate
from training.schedule import learning_rate, warmup_steps


def rates(num_steps: int, **values: object) -> list[float]:
    config = LearningRate(peak=1.0, **values)  # type: ignore[arg-type]
    return [learning_rate(step, num_steps, config) for step in range(num_steps)]


def test_warm_up_is_linear_and_ends_at_the_peak() -> None:
    assert rates(100, warmup=0.04)[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates(100, warmup=4)[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])


def test_cosine_is_half_way_at_half_time_and_ends_at_the_floor() -> None:
    got = rates(100, warmup=0, decay="cosine", floor=0.1)
    assert got[49] == pytest.approx(0.55)
    assert got[24] == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4)))
    assert got[-1] == pytest.approx(0.1)


def test_linear_and_constant() -> None:
    assert rates(4, warmup=0, decay="linear", floor=0.0) == pytest.approx([0.75, 0.5, 0.25, 0.0])
    assert rates(4, warmup=0, decay="constant") == [1.0] * 4


@given(
    st.integers(1, 500),
    st.floats(0, 50),
    st.sampled_from(["cosine", "linear", "constant"]),
    st.floats(0, 1),
)
def test_the_rate_stays_between_floor_and_peak_and_never_rises_again(
    num_steps: int, warmup: float, decay: str, floor: float
) -> None:
    got = rates(num_steps, warmup=warmup, decay=decay, floor=floor)
    after = got[max(0, warmup_steps(num_steps, warmup) - 1) :]
    assert all(floor - 1e-12 <= rate <= 1 + 1e-12 for rate in after)
    assert all(a >= b - 1e-12 for a, b in pairwise(after))
    assert all(rate > 0 for rate in got[: warmup_steps(num_steps, warmup)])
