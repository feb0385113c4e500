"""How many rows of each source the run takes, block by block.

The stream is cut into blocks of rows. Weights are shares of tokens; divided by a source's mean
tokens per row they become shares of rows. Targets are summed over the blocks and each block gets
the whole rows that bring every source closest to its sum (systematic rounding: what is rounded
away is carried over), so a weight of 1e-5 gets its rows in the end, and none is off by 2 rows ever.
A source that reached `max_epochs` hands its share to the others, at that row. An event of the
control log changes what comes from its block on; the blocks before it stay as they are.
"""

from bisect import bisect_right
from collections.abc import Sequence
from threading import Lock

import numpy as np

from training.errors import DataError, ResumeError
from training.mix.control import UNIT, Event, Log, plan_events
from training.mix.weights import Clock
from training.mixing import Mix

MAX_BLOCK_ROWS = 256
MIN_BLOCKS = 64  # so that a schedule still moves in a run of 60 rows
MAX_BLOCKS = 1 << 16  # 34e9 tokens in rows of 2048 before blocks grow; a plan of 5 sources: 8 MB


class Plan:
    """Rows of each source before each block: solved when asked for, kept, safe between threads.

    `log` may hold events of any kind; those that change the mix apply from their row on, which is
    the first of a block.
    """

    def __init__(self, mix: Mix, clock: Clock, log: Log = ()) -> None:
        num_rows = clock.num_rows
        self.mix, self.clock, self.num_rows = mix, clock, num_rows
        self.block_rows = max(
            1, min(MAX_BLOCK_ROWS, num_rows // MIN_BLOCKS), -(-num_rows // MAX_BLOCKS)
        )
        self.num_blocks = -(-num_rows // self.block_rows)
        self._firsts = np.arange(self.num_blocks) * self.block_rows
        self._sizes = np.minimum(self.block_rows, num_rows - self._firsts)
        self._events = plan_events(log)
        self._first_blocks = [-(-event["row"] // self.block_rows) for event in self._events]
        if any(
            event["row"] % self.block_rows and event["row"] < num_rows for event in self._events
        ):
            raise ResumeError(
                f"control log: an event lies inside a block of {self.block_rows} rows; the log is "
                "of a run of another length"
            )
        self._capacities = capacities(mix, num_rows)
        self._proportional = mix.proportional()
        self._ordered = any(entry.curriculum for entry in mix.entries)
        self._drawn = np.zeros((self.num_blocks + 1, len(mix.sizes)), dtype=np.int64)
        self._target = np.zeros(self._drawn.shape)
        self._begun = np.zeros((self.num_blocks + 1, len(mix.entries)))
        self._num_solved = 0
        self._segment: tuple[int, np.ndarray, np.ndarray] | None = None
        self._lock = Lock()

    @property
    def drawn(self) -> np.ndarray:
        """Rows (num_blocks + 1, S) int64 before each block; the last line is the whole run.

        Raises `DataError` where every source has run out.
        """
        return self._solve(self.num_blocks)

    def tokens_before(self, rows: np.ndarray) -> np.ndarray:
        """Tokens (N, S) that are meant for each source before each of `rows` (N,) of the run.

        With curricula, `max_epochs` and the control log, before rounding to whole rows.
        """
        self._solve(self.num_blocks)
        places = np.append(self._firsts, self.num_rows)
        targets = [np.interp(rows, places, self._target[:, i]) for i in range(len(self.mix.sizes))]
        tokens: np.ndarray = np.stack(targets, axis=1) * self.mix.mean_tokens
        return tokens

    def counts(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows (S,) of each source before this block, and in it."""
        drawn = self._solve(block + 1)
        return drawn[block], drawn[block + 1] - drawn[block]

    def weights(self, block: int) -> np.ndarray:
        """Token weights (S,) that hold in this block, curricula left aside."""
        return self.mix.blend(self._weights_from(self._number(block))[block], self._proportional)

    def with_event(self, event: Event, log: Log) -> "Plan":
        """The plan after one more event; what was solved before its row is not solved again."""
        plan = Plan(self.mix, self.clock, (*log, event))
        kept = min(self._num_solved, -(-event.get("row", self.num_rows) // self.block_rows))
        for name in ("_drawn", "_target", "_begun"):
            getattr(plan, name)[: kept + 1] = getattr(self, name)[: kept + 1]
        plan._num_solved = kept
        return plan

    def _number(self, block: int) -> int:
        """How many events hold in this block."""
        return bisect_right(self._first_blocks, block)

    def _weights_from(self, num_events: int) -> np.ndarray:
        """Weights (num_blocks, E) of the entries there are after the first `num_events` events."""
        events = self._events[:num_events]
        last = max((i for i, e in enumerate(events) if e["kind"] == "weights"), default=-1)
        num_entries = len(self.mix.initial)
        num_entries += sum(len(e["sources"]) for e in events[:last] if e["kind"] == "extend")
        if last < 0:
            middles = (self._firsts + self._sizes / 2) / self.num_rows
            weights = self.mix.entry_weights(middles, self.clock)
        else:
            weights = self._given(events[last], "weights", 0, num_entries)
        for event in events[last + 1 :]:  # sources that were added since
            begun = weights.shape[1]
            given = self._given(event, "sources", begun, begun + len(event["sources"]))
            rest = weights * (1 - given.sum(axis=1, keepdims=True))
            weights = np.concatenate([rest, given], axis=1)
        return weights

    def _given(self, event: Event, key: str, first: int, last: int) -> np.ndarray:
        """The event's weights (num_blocks, last - first) of these entries, the same everywhere."""
        names = [entry.name for entry in self.mix.entries[first:last]]
        if sorted(names) != sorted(event[key]):
            raise ResumeError(
                f"control log: got {key} of {', '.join(event[key])}, want {', '.join(names)}; "
                "resume with the shards and the mix of the run"
            )
        weights = np.array([event[key][name] / UNIT for name in names])
        return np.broadcast_to(weights, (self.num_blocks, len(names)))

    def _solve(self, num_blocks: int) -> np.ndarray:
        with self._lock:
            for block in range(self._num_solved, num_blocks):
                self._solve_block(block)
                self._num_solved = block + 1
        return self._drawn

    def _solve_block(self, block: int) -> None:
        first, size = int(self._firsts[block]), int(self._sizes[block])
        ordered, unordered = self._shares(block)
        target, num_missing = self._target[block], float(size)
        # Where a stratum is used up before its turn ends and no other entry is at hand, the other
        # strata of its source step in.
        for shares in (ordered, unordered):
            target, num_missing = _advance(target, shares, self._capacities, num_missing)
        if num_missing > 0.5:
            raise DataError(self._ran_out(first))
        self._target[block + 1] = target
        drawn = self._drawn[block]
        self._drawn[block + 1] = drawn + apportion(target - drawn, self._capacities - drawn, size)

    def _shares(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        """Row shares (S,) in this block with the order of curricula, and without it."""
        number = self._number(block)
        if self._segment is None or self._segment[0] != number:
            weights = self._weights_from(number)
            spent = weights * self._sizes[:, None]
            left = np.cumsum(spent[::-1], axis=0)[::-1] if self._ordered else spent
            self._segment = (number, weights, left)
        _, weights, left = self._segment
        live = self._target[block] < self._capacities
        unordered = self._blend(weights[block], self._proportional, live, block)
        if not self._ordered:
            return unordered, unordered
        members, begun = self._proportional.copy(), self._begun[block]
        ended = begun.copy()
        for i in range(weights.shape[1]):
            if left[block, i] > 0:
                # What is left of the source is spread over what is left of its weight.
                part = weights[block, i] * self._sizes[block] / left[block, i]
                ended[i] += (1 - begun[i]) * part
            if self.mix.entries[i].curriculum:
                split = self.mix.entries[i].split(self.mix.sizes, begun[i], ended[i])
                members[i] = _handed_on(split, self.mix.entries[i].members, live)
        self._begun[block + 1] = ended
        return self._blend(weights[block], members, live, block), unordered

    def _blend(
        self, weights: np.ndarray, members: np.ndarray, live: np.ndarray, block: int
    ) -> np.ndarray:
        """Row shares (S,) of what has not run out; the replayed share stays what it is.

        Raises `DataError` where the mix has run out and only the replayed source is left, unless
        it is to fill the last block.
        """
        mix = self.mix
        mixed = weights @ members[: len(weights)]
        if not live.all():
            mixed = mixed * live
            if mixed.sum() == 0 and block + 1 < self.num_blocks:
                raise DataError(self._ran_out(int(self._firsts[block])))
            mixed = mixed / (mixed.sum() or 1.0)
        if mix.replay is not None:
            replayed = mix.replay.split(mix.sizes, 0.0, 0.0)
            mixed = (1 - mix.replay_ratio) * mixed + mix.replay_ratio * replayed
        shares: np.ndarray = mixed / mix.mean_tokens
        return shares

    def _ran_out(self, row: int) -> str:
        rows = ", ".join(
            f"{s.name} {s.num_rows} rows" + ("" if np.isinf(c) else f", at most {c:.0f} drawn")
            for s, c in zip(self.mix.sizes, self._capacities, strict=True)
        )
        return (
            f"mix: the sources run out near row {row} of {self.num_rows} ({rows}); "
            "raise max_epochs, give a weight to a source without it, or lower steps or batch_rows"
        )


def capacities(mix: Mix, num_rows: int) -> np.ndarray:
    """Rows (S,) that each source gives at most: `max_epochs` times its rows, or infinity."""
    epochs = np.full(len(mix.sizes), np.inf)
    for entry in mix.initial:
        if entry.schedule.max_epochs is not None:
            epochs[list(entry.members)] = entry.schedule.max_epochs
    rows = np.array([size.num_rows for size in mix.sizes], dtype=np.float64)
    # 0.29 * 100 is 28.999999999999996 in floats, and means 29 rows.
    most: np.ndarray = np.floor(epochs * rows + 1e-6)
    base = len(rows) - mix.num_added
    num_missing = num_rows - most[:base].sum()
    if mix.num_epochs is not None and num_missing > 0:
        # Whole epochs seldom fill the last step; what it lacks is drawn once more.
        more = rows[:base] * num_missing / rows[:base].sum()
        most[:base] += apportion(more, rows[:base], int(num_missing))
    return most


def _handed_on(shares: np.ndarray, members: Sequence[int], live: np.ndarray) -> np.ndarray:
    """Shares (S,) in which a member that has run out hands its own to the next in order."""
    following = [i for i in members if live[i]]
    used_up = [i for i in members if not live[i]]
    if not (following and used_up):
        return shares
    handed = shares.copy()
    handed[following[0]] += handed[used_up].sum()
    handed[used_up] = 0.0
    return handed


def _advance(
    target: np.ndarray, shares: np.ndarray, capacities: np.ndarray, num_rows: float
) -> tuple[np.ndarray, float]:
    """Add `num_rows` to the targets by share; what goes over a capacity goes to the others.

    Also returns how many rows found no source.
    """
    remaining = num_rows
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
