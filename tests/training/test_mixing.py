"""Counts of rows per source and block."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.config import MixEntry, Replay, TrainConfig
from training.errors import DataError
from training.mixing import Mix, SourceSize, apportion, resolve_mix, solve


def size(name: str, num_rows: int = 100, tokens_per_row: int = 10) -> SourceSize:
    return SourceSize(name=name, num_rows=num_rows, num_tokens=num_rows * tokens_per_row)


def fixed(*weights: float, rows: int = 1000, caps: dict[int, float] | None = None) -> Mix:
    caps = caps or {}
    return Mix(
        sizes=tuple(size(f"s{i}", rows) for i in range(len(weights))),
        entries={
            f"s{i}": MixEntry(start=weight, max_epochs=caps.get(i))
            for i, weight in enumerate(weights)
        },
    )


def config(**values: object) -> TrainConfig:
    return TrainConfig(model="m", shards=("s",), out="o", **values)  # type: ignore[arg-type]


weight_lists = st.lists(st.floats(0, 1), min_size=1, max_size=6).filter(lambda w: sum(w) > 0.1)


@settings(deadline=None)
@given(weight_lists, st.integers(1, 3000))
def test_every_block_is_full_and_no_source_is_ever_two_rows_off(
    weights: list[float], num_rows: int
) -> None:
    shares = np.array(weights) / sum(weights)
    plan = solve(fixed(*shares), num_rows)
    assert (np.diff(plan.drawn, axis=0) >= 0).all()
    ends = np.minimum(np.arange(len(plan.drawn)) * plan.block_rows, num_rows)
    assert (plan.drawn.sum(axis=1) == ends).all()
    assert np.abs(plan.drawn - ends[:, None] * shares).max() < 2


def test_a_tiny_weight_is_never_rounded_to_nothing() -> None:
    plan = solve(fixed(1 - 1e-4, 1e-4), 100_000)
    assert plan.drawn[-1, 1] == 10


def test_a_linear_schedule_gives_its_integral_and_moves_inside_a_short_run() -> None:
    mix = Mix(
        sizes=(size("domain"), size("general")),
        entries={"domain": MixEntry(start=0.5, end=0.9), "general": MixEntry(start=0.5, end=0.1)},
    )
    plan = solve(mix, 60)
    assert plan.drawn[-1].tolist() == [42, 18]  # mean weight 0.7
    first_half = plan.drawn[plan.num_blocks // 2]
    assert first_half.tolist() == [18, 12]  # mean weight 0.6


def test_weights_are_of_tokens_not_of_rows() -> None:
    mix = Mix(
        sizes=(size("full", tokens_per_row=100), size("half", tokens_per_row=50)),
        entries={"full": MixEntry(start=0.5), "half": MixEntry(start=0.5)},
    )
    assert solve(mix, 300).drawn[-1].tolist() == [100, 200]


def test_a_source_at_its_cap_hands_its_rows_to_the_others_by_weight() -> None:
    mix = fixed(0.5, 0.3, 0.2, rows=100, caps={0: 1.0})
    drawn = solve(mix, 1000).drawn
    assert drawn[-1].tolist() == [100, 540, 360]
    capped = np.flatnonzero(drawn[:, 0] == 100)[0]
    assert (np.diff(drawn[: capped - 1, 0]) > 0).all()  # it is used up early, not thinned out
    assert abs(capped * (drawn[1].sum()) - 200) <= 2 * drawn[1].sum()


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.05, 1), st.integers(0, 60)), min_size=2, max_size=5),
    st.integers(1, 400),
)
def test_caps_hold_and_all_rows_are_found_while_there_are_any(
    sources: list[tuple[float, int]], num_rows: int
) -> None:
    total = sum(weight for weight, _ in sources)
    caps = np.array([rows for _, rows in sources])
    mix = Mix(
        sizes=tuple(size(f"s{i}", 100) for i in range(len(sources))),
        entries={
            f"s{i}": MixEntry(start=weight / total, max_epochs=max(rows, 0.5) / 100)
            for i, (weight, rows) in enumerate(sources)
        },
    )
    if caps.sum() < num_rows:
        with pytest.raises(DataError, match="run out"):
            solve(mix, num_rows)
    else:
        drawn = solve(mix, num_rows).drawn
        assert (drawn[-1] <= caps).all()
        assert drawn[-1].sum() == num_rows


def test_sources_that_all_run_out_are_an_error_before_the_run() -> None:
    with pytest.raises(DataError, match=r"run out near row \d+ of 500.*at most 200 drawn"):
        solve(fixed(0.5, 0.5, rows=100, caps={0: 2, 1: 2}), 500)


@given(st.lists(st.tuples(st.floats(-2, 9), st.integers(0, 20)), min_size=1, max_size=6), st.data())
def test_apportion_stays_within_room_and_adds_up(
    sources: list[tuple[float, int]], data: st.DataObject
) -> None:
    need, room = (np.array(column, dtype=float) for column in zip(*sources, strict=True))
    num_rows = data.draw(st.integers(0, int(room.sum())))
    counts = apportion(need, room, num_rows)
    assert counts.sum() == num_rows
    assert ((counts >= 0) & (counts <= room)).all()


def test_two_sources_with_a_domain_get_the_default_curriculum() -> None:
    mix = resolve_mix(config(), (size("domain"), size("general")))
    assert mix.weights(0.0).tolist() == [0.5, 0.5]
    assert mix.weights(1.0) == pytest.approx([0.9, 0.1])


def test_other_sources_are_weighted_by_their_tokens() -> None:
    mix = resolve_mix(config(), (size("a", 10), size("b", 30)))
    assert mix.weights(0.3) == pytest.approx([0.25, 0.75])
    three = resolve_mix(config(), (size("a", 10), size("b", 10), size("domain", 20)))
    assert three.weights(1.0) == pytest.approx([0.25, 0.25, 0.5])


def test_replay_takes_its_ratio_and_the_mix_shares_the_rest() -> None:
    replay = Replay(source="general", ratio=0.05)
    alone = resolve_mix(config(replay=replay), (size("domain"), size("general")))
    assert alone.weights(0.5) == pytest.approx([0.95, 0.05])
    mix = {"domain": MixEntry(start=0.5), "general": MixEntry(start=0.5)}
    on_top = resolve_mix(config(replay=replay, mix=mix), (size("domain"), size("general")))
    assert on_top.weights(0.5) == pytest.approx([0.475, 0.525])


@pytest.mark.parametrize(
    "values",
    [
        {"mix": {"domian": MixEntry(start=1.0)}},
        {"replay": Replay(source="domian", ratio=0.1)},
    ],
)
def test_a_name_that_is_not_there_is_refused_with_the_near_one(values: dict[str, object]) -> None:
    with pytest.raises(DataError, match=r"'domian' \(did you mean 'domain'\?\)"):
        resolve_mix(config(**values), (size("domain"), size("general")))
