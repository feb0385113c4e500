"""Counter-based randomness: every value is a pure function of a key and a counter.

`mix64` is the finaliser of SplitMix64 (Steele, Lea and Flood 2014; multipliers of Stafford's
variant 13), which has no state and whose output does not depend on the version of NumPy, as
`numpy.random.Generator` methods do (NEP 19).
"""

import numpy as np
import xxhash

GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
NUM_ROUNDS = 6  # 4 make a Feistel network pseudorandom (Luby and Rackoff 1988); 2 to spare


def mix64(values: np.ndarray) -> np.ndarray:
    """Hash each uint64 to a uint64, bijectively."""
    mixed = values * GOLDEN_GAMMA + GOLDEN_GAMMA
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    hashed: np.ndarray = mixed ^ (mixed >> np.uint64(31))
    return hashed


def derive_key(*parts: object) -> int:
    """A 64-bit key out of anything with a stable `repr`, such as (fingerprint, seed, "domain")."""
    return int(xxhash.xxh3_64_intdigest(repr(parts).encode()))


def block_order(key: int, block: int, num_rows: int) -> np.ndarray:
    """A random order of 0..num_rows-1 for one block of the stream, int64."""
    block_key = mix64(np.array([block], dtype=np.uint64) ^ np.uint64(key))
    counters = block_key + np.arange(num_rows, dtype=np.uint64)
    order: np.ndarray = np.argsort(mix64(counters), kind="stable")
    return order


def permute(positions: np.ndarray, size: int, keys: np.ndarray) -> np.ndarray:
    """Where each of `positions` (0..size-1, int64) goes in the permutation of its key (uint64).

    A Feistel network on the grid of `width` x `height` cells, the smallest that holds `size`: each
    round adds a hash of one coordinate to the other, which can be undone, so the whole is a
    bijection of the grid. What leaves 0..size-1 walks on along its cycle until it is back inside
    (Black and Rogaway 2002); fewer than `width` cells are outside, so hardly any value walks twice.
    """
    width = int(np.ceil(np.sqrt(size)))
    height = -(-size // width)
    moved = positions.astype(np.uint64)
    outside = np.arange(len(moved))
    while len(outside):
        moved[outside] = _feistel(moved[outside], width, height, keys[outside])
        outside = outside[moved[outside] >= size]
    result: np.ndarray = moved.astype(np.int64)
    return result


def _feistel(values: np.ndarray, width: int, height: int, keys: np.ndarray) -> np.ndarray:
    columns: np.ndarray = values % np.uint64(width)
    rows: np.ndarray = values // np.uint64(width)
    for number in range(0, NUM_ROUNDS, 2):
        hashed = mix64(mix64(rows ^ keys) + np.uint64(number))
        columns = (columns + hashed % np.uint64(width)) % np.uint64(width)
        hashed = mix64(mix64(columns ^ keys) + np.uint64(number + 1))
        rows = (rows + hashed % np.uint64(height)) % np.uint64(height)
    permuted: np.ndarray = rows * np.uint64(width) + columns
    return permuted
