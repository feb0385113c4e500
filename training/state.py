"""What a run knows besides weights and optimizer moments, and what makes two runs the same run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from training.config import TrainConfig, fixed_values
from training.corpus import ShardSet
from training.errors import ResumeError
from training.evaluate import Score


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainState:
    """Where a run is. Randomness needs no state: each step seeds itself from its number."""

    step: int = 0  # optimizer steps done, the refused ones included
    consumed_rows: int = 0
    num_skipped: int = 0  # steps refused because they were not finite
    num_skipped_in_row: int = 0
    best_loss: float | None = None  # by `weighted_loss`
    best_step: int | None = None
    evaluated_step: int | None = None
    baseline: Mapping[str, Score] = field(default_factory=dict)  # before the first step
    latest: Mapping[str, Score] = field(default_factory=dict)

    def is_done(self, num_steps: int) -> bool:
        """Whether the run is trained to its last step and was evaluated there."""
        return self.step == num_steps and self.evaluated_step == num_steps

    def to_json(self) -> dict[str, Any]:
        """Plain values; floats keep every bit through `json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "TrainState":
        """The inverse of `to_json`."""
        state = cls(**values)
        baseline, latest = (
            {name: Score(**score) for name, score in values[key].items()}
            for key in ("baseline", "latest")
        )
        return replace(state, baseline=baseline, latest=latest)


def identity(config: TrainConfig, sets: Sequence[ShardSet]) -> dict[str, Any]:
    """What may not change when a run is resumed: config values, and what the shards hold."""
    return {
        "config": fixed_values(config),
        "shards": [shards.index.fingerprint() for shards in sets],
    }


def check_identity(saved: dict[str, Any], current: dict[str, Any], where: str) -> None:
    """Raise `ResumeError` that names every difference between a saved run and this one."""
    before, now = _flatten(saved), _flatten(current)
    changed = [
        f"{key}: was {before.get(key)!r}, is {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
    if changed:
        raise ResumeError(
            f"{where}: the run there had another config or other shards ({'; '.join(changed)}); "
            "put these back to resume it, or give another --out to start a new run"
        )


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings and lists as one mapping with dotted keys."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = dict(enumerate(value)).items()
    else:
        return {prefix.removeprefix("config."): value}
    flat = {}
    for key, item in items:
        flat.update(_flatten(item, f"{prefix}.{key}" if prefix else str(key)))
    return flat
