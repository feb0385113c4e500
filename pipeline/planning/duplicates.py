"""How many documents deduplication will remove, and how sure that is.

A removed document was met because it and its survivor were both drawn: by the one key that they
have in common (`keys.together`), or each by its own. It stands for the inverse of that
probability. The interval is of 95 %, from how the removed ones cluster: twenty copies of one
page were drawn at once, or not at all. Of what was not read, nobody knows how much of it are copies
of the rest: between none, the lower end, and as many as if each copy had been met with the share
that was read, the upper end.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.planning.drawing import Drawn, Stratum
from pipeline.planning.keys import together
from pipeline.removals import EXACT, ROW_BITS

NORMAL_95 = 1.96


@dataclass(frozen=True, slots=True)
class Removed:
    """Documents by rule, of one source; `low` and `high` are of all rules together."""

    by_rule: dict[str, float]
    low: float
    high: float

    @property
    def total(self) -> float:
        return sum(self.by_rule.values())


def removed(
    out: Path, record: Mapping[str, object], strata: Sequence[Stratum], drawn: Mapping[str, Drawn]
) -> dict[str, Removed]:
    """What the removal table of the sample says of each source; `record` is of `deduplicate`."""
    table = _table(out, record)
    place = (table["doc"].to_numpy() >> np.uint64(ROW_BITS)).astype(np.int64)
    other = (table["survivor_doc"].to_numpy() >> np.uint64(ROW_BITS)).astype(np.int64)
    scales = np.array([one.scale_rows for one in strata])
    shares = np.array([drawn[one.source].share for one in strata])
    rules = table["rule"].to_pylist()
    pairs = together(table["similarity"].to_numpy())
    pairs = np.where(np.array(rules) == EXACT, 1.0, pairs) if rules else pairs
    one, both = shares[place], shares[other]
    share = np.minimum(one, both)
    # Drawn together by one key, or each by its own.
    drawn_both = pairs * share + (1 - pairs) * one * both
    weights = scales[place] * one / drawn_both
    found = {}
    sources = np.array([one.source for one in strata])
    survivors = table["survivor_doc"].to_numpy()
    for name in dict.fromkeys(one.source for one in strata):
        mine = sources[place] == name if len(place) else np.zeros(0, bool)
        found[name] = _of_source(
            [rule for rule, own in zip(rules, mine, strict=True) if own],
            weights[mine],
            share[mine],
            survivors[mine],
            drawn[name].coverage,
        )
    return found


def _of_source(
    rules: Sequence[str],
    weights: np.ndarray,
    shares: np.ndarray,
    survivors: np.ndarray,
    coverage: float,
) -> Removed:
    # Between none and all of the copies that were not met; the middle, as factors go.
    unseen = 1 / math.sqrt(coverage)
    by_rule: dict[str, float] = defaultdict(float)
    clusters: dict[int, float] = defaultdict(float)
    spread: dict[int, float] = {}
    for rule, weight, share, survivor in zip(rules, weights, shares, survivors, strict=True):
        by_rule[rule] += weight * unseen
        clusters[int(survivor)] += weight
        spread[int(survivor)] = 1 - share
    total = float(weights.sum())
    error = math.sqrt(sum(spread[name] * weight**2 for name, weight in clusters.items()))
    return Removed(
        by_rule,
        max(0.0, total - NORMAL_95 * error),
        (total + NORMAL_95 * error) / coverage,
    )


def _table(out: Path, record: Mapping[str, object]) -> pa.Table:
    outputs = record["outputs"]
    assert isinstance(outputs, Mapping)
    with pa.memory_map(str(out / outputs["removals"]["path"])) as source:
        return pa.ipc.open_file(source).read_all()
