"""How many rows of each source the run takes, block by block, solved before it starts.

The stream is cut into blocks of rows. Weights are shares of tokens; divided by a source's mean
tokens per row they become shares of rows. Targets are summed over the blocks and each block gets
the whole rows that bring every source closest to its sum (systematic rounding: what is rounded
away is carried over), so a weight of 1e-5 gets its rows in the end, and none is off by 2 rows ever.
A source that reached `max_epochs` hands its share to the others, at that row.
"""

import difflib
from dataclasses import dataclass

import numpy as np

from training.config import MixEntry, TrainConfig
from training.errors import DataError

MAX_BLOCK_ROWS = 256
MIN_BLOCKS = 64  # so that a schedule still moves in a run of 60 rows
MAX_BLOCKS = 1 << 16  # 34e9 tokens in rows of 2048 before blocks grow; the plan stays under 1 MB


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceSize:
    """What the mix needs to know of a source's training rows."""

    name: str
    num_rows: int
    num_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """Token weights of all sources over the run, in the order of `sizes`."""

    sizes: tuple[SourceSize, ...]
    entries: dict[str, MixEntry]
    replay_source: str | None = None
    replay_ratio: float = 0.0

    def weights(self, progress: float) -> np.ndarray:
        """Token weights (S,) at `progress` 0..1 of the run; they add up to 1."""
        mixed = np.array(
            [
                self.entries[s.name].weight(progress) if s.name in self.entries else 0.0
                for s in self.sizes
            ]
        )
        replayed = np.array([float(s.name == self.replay_source) for s in self.sizes])
        weights: np.ndarray = (
            1 - self.replay_ratio
        ) * mixed / mixed.sum() + self.replay_ratio * replayed
        return weights

    def capacities(self) -> np.ndarray:
        """Rows (S,) that each source gives at most: `max_epochs` times its rows, or infinity."""
        caps = [
            self.entries[s.name].max_epochs if s.name in self.entries else None for s in self.sizes
        ]
        # 0.29 * 100 is 28.999999999999996 in floats, and means 29 rows.
        return np.array(
            [
                np.inf if c is None else np.floor(c * s.num_rows + 1e-6)
                for c, s in zip(caps, self.sizes, strict=True)
            ]
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """`drawn[b, s]` rows (int64) of source `s` come before block `b`; the last line is the run."""

    block_rows: int
    num_rows: int
    drawn: np.ndarray

    @property
    def num_blocks(self) -> int:
        return len(self.drawn) - 1


def resolve_mix(config: TrainConfig, sizes: tuple[SourceSize, ...]) -> Mix:
    """The config's mix over the sources there are, or the default one.

    Default: of exactly two sources of which one is called `domain`, that one goes linearly from
    half to 0.9 of the tokens; otherwise weights are proportional to tokens. A replayed source is
    left out of the default. Raises `DataError` for names that are not there.
    """
    names = [size.name for size in sizes]
    replay = config.replay
    for name in [*(config.mix or {}), *([replay.source] if replay else [])]:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise DataError(
                f"mix: got source {name!r}{hint}; the shards train on {', '.join(names)}"
            )
    return Mix(
        sizes=sizes,
        entries=config.mix or _default_entries(sizes, replay.source if replay else None),
        replay_source=replay.source if replay else None,
        replay_ratio=replay.ratio if replay else 0.0,
    )


def _default_entries(sizes: tuple[SourceSize, ...], replayed: str | None) -> dict[str, MixEntry]:
    mixed = [size for size in sizes if size.name != replayed] or list(sizes)
    names = [size.name for size in mixed]
    if len(names) == 2 and "domain" in names:
        (other,) = (name for name in names if name != "domain")
        return {"domain": MixEntry(start=0.5, end=0.9), other: MixEntry(start=0.5, end=0.1)}
    total = sum(size.num_tokens for size in mixed)
    return {size.name: MixEntry(start=size.num_tokens / total) for size in mixed}


def solve(mix: Mix, num_rows: int) -> Plan:
    """The plan of a run of `num_rows` rows; raises `DataError` where every source has run out."""
    block_rows = max(1, min(MAX_BLOCK_ROWS, num_rows // MIN_BLOCKS), -(-num_rows // MAX_BLOCKS))
    mean_tokens = np.array([size.num_tokens / size.num_rows for size in mix.sizes])
    capacities = mix.capacities()
    drawn = np.zeros((-(-num_rows // block_rows) + 1, len(mix.sizes)), dtype=np.int64)
    target = np.zeros(len(mix.sizes))
    for block in range(len(drawn) - 1):
        first = block * block_rows
        size = min(block_rows, num_rows - first)
        shares = mix.weights((first + size / 2) / num_rows) / mean_tokens
        target, num_missing = _advance(target, shares, capacities, size)
        if num_missing > 0.5:
            raise DataError(_ran_out(mix, capacities, first, num_rows))
        room = capacities - drawn[block]
        drawn[block + 1] = drawn[block] + apportion(target - drawn[block], room, size)
    return Plan(block_rows=block_rows, num_rows=num_rows, drawn=drawn)


def _advance(
    target: np.ndarray, shares: np.ndarray, capacities: np.ndarray, num_rows: int
) -> tuple[np.ndarray, float]:
    """Add `num_rows` to the targets by share; what goes over a capacity goes to the others.

    Also returns how many rows found no source.
    """
    remaining = float(num_rows)
    for _ in range(len(target) + 1):
        live = np.where(target < capacities, shares, 0.0)
        if remaining <= 0 or live.sum() == 0:
            break
        wanted = target + remaining * live / live.sum()
        target = np.minimum(wanted, capacities)
        remaining = float((wanted - target).sum())
    return target, remaining


def apportion(need: np.ndarray, room: np.ndarray, num_rows: int) -> np.ndarray:
    """Whole rows (S,) adding up to `num_rows`, close to `need`, in 0..`room` (largest remainder).

    `need` may hold fractions, and values below 0 where a source is ahead. Ties go to the first.
    """
    counts = np.clip(np.floor(need), 0, room)
    while counts.sum() < num_rows:
        counts[np.argmax(np.where(counts < room, need - counts, -np.inf))] += 1
    while counts.sum() > num_rows:
        counts[np.argmin(np.where(counts > 0, need - counts, np.inf))] -= 1
    whole: np.ndarray = counts.astype(np.int64)
    return whole


def _ran_out(mix: Mix, capacities: np.ndarray, row: int, num_rows: int) -> str:
    rows = ", ".join(
        f"{s.name} {s.num_rows} rows" + ("" if np.isinf(c) else f", at most {c:.0f} drawn")
        for s, c in zip(mix.sizes, capacities, strict=True)
    )
    return (
        f"mix: the sources run out near row {row} of {num_rows} ({rows}); "
        "raise max_epochs, give a weight to a source without it, or lower steps or batch_rows"
    )
