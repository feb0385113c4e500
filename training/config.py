"""The train config: what `train --config FILE` and `--set` may say, as frozen, validated values."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.configfile import Config, load
from training.errors import ConfigError

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class MixEntry(Config):
    """One source's share of the tokens over the run.

    `schedule: linear` goes from `start` at the first step to `end` (default: `start`) at the last.
    A source that was seen `max_epochs` times runs out; the others share its weight.
    """

    start: Fraction
    end: Fraction | None = None
    schedule: Literal["linear", "fixed"] = "linear"
    max_epochs: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _fixed_does_not_move(self) -> "MixEntry":
        if self.schedule == "fixed" and self.end not in (None, self.start):
            raise ValueError("a fixed schedule has no other end; leave `end` out or say linear")
        return self

    def weight(self, progress: float) -> float:
        """The weight at `progress` 0..1 of the run."""
        end = self.start if self.end is None else self.end
        return self.start + (end - self.start) * progress


class Replay(Config):
    """A constant share `ratio` of the tokens from `source`; the mix shares the rest."""

    source: str
    ratio: Annotated[float, Field(gt=0, lt=1)]


class Objective(Config):
    """The terms of the loss and their weights. `clm`: causal cross-entropy in nats per token."""

    clm: Annotated[float, Field(gt=0)] = 1.0


class LearningRate(Config):
    """Linear warm-up to `peak`, then `decay` to `floor * peak` at the last step.

    `warmup` below 1 is a fraction of the steps, from 1 on a number of steps.
    """

    peak: Annotated[float, Field(gt=0)] = 1e-5
    warmup: Annotated[float, Field(ge=0)] = 0.03
    decay: Literal["cosine", "linear", "constant"] = "cosine"
    floor: Fraction = 0.1


class TrainConfig(Config):
    """Everything a run depends on. Paths are relative to where `train` is started."""

    model: Annotated[str, Field(min_length=1)]
    shards: Annotated[tuple[Path, ...], Field(min_length=1)]
    out: Path
    seed: int = 17
    steps: Count | None = None  # default: every training row once
    batch_rows: Count = 64  # stored rows, over all ranks, per optimizer step
    micro_rows: Count | None = (
        None  # rows of `sequence_tokens` per forward pass; default: by device
    )
    sequence_tokens: Annotated[int, Field(ge=2)] | None = None  # default: the shards' length
    mix: dict[str, MixEntry] | None = None
    replay: Replay | None = None
    objective: Objective = Objective()
    lr: LearningRate = LearningRate()
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    betas: tuple[Fraction, Fraction] = (0.9, 0.95)
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    precision: Literal["fp32", "bf16", "auto"] = "auto"  # auto: bf16 on a GPU that has it
    attention: Literal["sdpa", "eager"] = "sdpa"
    save_every: Count = 500
    eval_every: Count = 250
    eval_rows: Count = 64  # stored validation rows per source, the first in the shards' order
    keep_last: Count = 3
    keep_best: Literal[0, 1] = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @model_validator(mode="after")
    def _mix_adds_up(self) -> "TrainConfig":
        for moment, progress in (("start", 0.0), ("end", 1.0)):
            total = sum(entry.weight(progress) for entry in (self.mix or {}).values())
            if self.mix is not None and abs(total - 1) > 1e-6:
                raise ValueError(f"the weights of mix add up to {total:g} at the {moment}, want 1")
        return self


# What may change between the parts of a resumed run: where things lie, how often the run looks and
# saves, and how a batch is cut for memory. Shards count by what they hold, not where.
FREE_KEYS = frozenset(
    {"shards", "out", "micro_rows", "attention", "save_every", "eval_every", "keep_last"}
    | {"keep_best", "device"}
)


def read_config(
    path: Path | None,
    *,
    shards: Sequence[Path] = (),
    model: str | None = None,
    out: Path | None = None,
    overrides: Sequence[str] = (),
) -> TrainConfig:
    """Read the YAML at `path` (none: all defaults), then apply the flags, then `--set`.

    Raises `ConfigError` with file, line, field, what was got and what is wanted.
    """
    flags = [] if not shards else [f"shards={json.dumps([str(item) for item in shards])}"]
    flags += [] if model is None else [f"model={json.dumps(model)}"]
    flags += [] if out is None else [f"out={json.dumps(str(out))}"]
    if path is None:
        given = {override.partition("=")[0].partition(".")[0] for override in [*flags, *overrides]}
        missing = [f"--{key}" for key in ("shards", "model", "out") if key not in given]
        if missing:
            raise ConfigError(f"got no {', '.join(missing)}; give them, or a --config with them")
    source = Path(os.devnull) if path is None else path
    return load(source, TrainConfig, [*flags, *overrides], error=ConfigError)


def fixed_values(config: TrainConfig) -> dict[str, object]:
    """The values that may not change when a run is resumed, as JSON values."""
    values = config.model_dump(mode="json")
    return {key: value for key, value in sorted(values.items()) if key not in FREE_KEYS}
