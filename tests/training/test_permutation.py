"""Counter-based randomness."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.permutation import block_order, derive_key, mix64, permute

MASK = (1 << 64) - 1


def splitmix64(state: int) -> int:
    """The reference in plain integers: one step of SplitMix64 from `state * gamma`."""
    value = (state * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


@given(st.lists(st.integers(0, MASK), max_size=20))
def test_mix64_is_splitmix64(values: list[int]) -> None:
    got = mix64(np.array(values, dtype=np.uint64)).tolist()
    assert got == [splitmix64(value) for value in values]


def test_mix64_gives_the_published_first_output_of_seed_zero() -> None:
    # SplitMix64 seeded with 0 first adds gamma, then mixes: Java's SplittableRandom, many others.
    assert mix64(np.zeros(1, dtype=np.uint64))[0] == 0xE220A8397B1DCDAF


@given(st.integers(1, 5000), st.integers(0, MASK))
def test_permute_is_a_bijection(size: int, key: int) -> None:
    moved = permute(np.arange(size), size, np.full(size, key, dtype=np.uint64))
    assert sorted(moved.tolist()) == list(range(size))


def test_two_keys_give_two_permutations() -> None:
    size = 1000
    first, second = (permute(np.arange(size), size, np.full(size, k, np.uint64)) for k in (1, 2))
    assert (first == second).sum() < 10  # one is expected of two random permutations


def test_permute_takes_keys_row_by_row() -> None:
    positions, keys = np.array([3, 3, 7]), np.array([1, 2, 1], dtype=np.uint64)
    alone = [permute(positions[i : i + 1], 11, keys[i : i + 1])[0] for i in range(3)]
    assert permute(positions, 11, keys).tolist() == alone


def test_neighbours_do_not_stay_neighbours() -> None:
    size = 10_000
    moved = permute(np.arange(size), size, np.full(size, 5, np.uint64))
    assert (np.abs(np.diff(moved)) < 10).mean() < 0.01
    assert abs(np.corrcoef(np.arange(size), moved)[0, 1]) < 0.05


@given(st.integers(0, 10_000), st.integers(0, 300))
def test_block_order_is_a_permutation_of_the_block(block: int, num_rows: int) -> None:
    assert sorted(block_order(7, block, num_rows).tolist()) == list(range(num_rows))


def test_keys_of_other_parts_differ() -> None:
    assert derive_key("a", 1) != derive_key("a", 2)
    assert derive_key("a", 1) == derive_key("a", 1)
