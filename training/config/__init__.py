"""The train config: what `train --config FILE` and `--set` may say, as frozen, validated values.

Sections lie beside this file: `mix` (what is read), `objective` (what is minimised), `schedule`
(how the weights move), `evaluation` (what is measured).
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipeline.configfile import Config, load
from training.config.base import Count, Fraction, Name, Positive
from training.config.evaluation import LmEval, Samples, Wandb
from training.config.mix import Curriculum, MixEntry, OnlineMixing, Replay, WidthPoint
from training.config.objective import ClmConfig, ObjectiveConfig
from training.config.schedule import LearningRate, Lora, Optimizer, Spikes
from training.errors import ConfigError

Beta = Annotated[float, Field(ge=0, lt=1)]
Width = Annotated[int, Field(ge=2)]


class RandomModel(Config):
    """A model from scratch: the architecture of `config` (a directory with config.json), and
    random weights drawn from the run's seed."""

    config: Path = Field(description="Directory of the architecture's config.json.")
    init: Literal["random"] = Field(description="How the weights begin.")


class TrainConfig(Config):
    """Everything a run depends on. Paths are relative to where `train` is started."""

    model: Name | RandomModel = Field(
        description="A Hugging Face directory or hub name; or a section, which trains from scratch."
    )
    shards: tuple[Path, ...] = Field(min_length=1, description="Outputs of `prepare run`.")
    out: Path = Field(description="Directory of the run.")
    seed: int = Field(default=17, description="Of the order of rows and everything random.")
    steps: Count | None = Field(
        default=None,
        description="Length of the run in optimizer steps. At most one of steps, tokens, epochs; "
        "left out: 1 epoch.",
    )
    tokens: Count | None = Field(default=None, description="Length of the run in tokens.")
    epochs: Positive | None = Field(
        default=None, description="Length of the run: times as many tokens as the shards have."
    )
    batch_rows: Count = Field(
        default=64, description="Stored rows per optimizer step, over all ranks."
    )
    micro_rows: Count | None = Field(
        default=None,
        description="Rows of `sequence_tokens` per forward pass; left out: by the device.",
    )
    sequence_tokens: Width | tuple[WidthPoint, ...] | None = Field(
        default=None,
        description="A divisor of the shards' length, which it is if left out. A list is a length "
        "warm-up; its first entry has from_step 0.",
    )
    mix: dict[str, MixEntry] | None = Field(
        default=None, description="By source: its share of the tokens over the run."
    )
    size_exponent: Fraction = Field(
        default=1.0,
        description="Where there is no mix, a source weighs its tokens to this power: 1 is "
        "proportional, 0 all alike.",
    )
    replay: Replay | None = Field(
        default=None, description="A constant share of the tokens that comes from one source."
    )
    curricula: dict[str, Curriculum] = Field(
        default_factory=dict, description="By source: the order in which its strata come."
    )
    online: OnlineMixing | None = Field(
        default=None, description="Weights that follow the losses, instead of a schedule."
    )
    objective: ObjectiveConfig = Field(
        default=ObjectiveConfig(clm=ClmConfig()),
        description="Terms of the loss with their weights; left out: {clm: 1.0}.",
    )
    optimizer: Optimizer = Field(default=Optimizer(), description="What moves the weights.")
    lr: LearningRate = Field(default=LearningRate(), description="The learning rate over the run.")
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        default=0.01, description="Decoupled, of matrices; vectors have none."
    )
    betas: tuple[Beta, Beta] = Field(default=(0.9, 0.95), description="Of AdamW.")
    max_grad_norm: Positive = Field(
        default=1.0, description="The gradient of a step is scaled down to this L2 norm."
    )
    precision: Literal["fp32", "bf16", "fp16", "fp8", "auto"] = Field(
        default="auto",
        description="Of the computation; auto: bf16 on a GPU that has it, else fp32.",
    )
    attention: Literal["sdpa", "eager", "flash_attention_2", "flex_attention"] = Field(
        default="sdpa", description="Its implementation, tested at start for leaks in packed rows."
    )
    parallel: Literal["ddp", "fsdp"] = Field(
        default="ddp", description="On several devices: copies of the model, or its shards (FSDP2)."
    )
    compile: bool = Field(default=False, description="Use torch.compile.")
    activation_checkpointing: bool = Field(
        default=False, description="Compute activations again in the backward pass, for memory."
    )
    lora: Lora | None = Field(default=None, description="Train low-rank adapters alone.")
    spikes: Spikes | None = Field(
        default=None, description="What is done about a loss that stands out."
    )
    save_every: Count = Field(default=500, description="Steps between checkpoints.")
    eval_every: Count = Field(default=250, description="Steps between validations.")
    eval_rows: Count = Field(
        default=64,
        description="Stored validation rows per source, spread evenly over what there is.",
    )
    keep_last: Count = Field(default=3, description="How many of the newest checkpoints stay.")
    keep_best: Annotated[int, Field(ge=0)] = Field(
        default=1, description="How many of the best stay, by the weighted objective of the domain."
    )
    gate: dict[str, Positive] = Field(
        default_factory=dict,
        description="By source: save and stop when its perplexity rose by more than this share of "
        "what it was at step 0.",
    )
    lm_eval: LmEval | None = Field(default=None, description="Tasks of the `lm_eval` harness.")
    samples: Samples | None = Field(
        default=Samples(), description="Text that the model writes at evaluations; null: none."
    )
    report: bool = Field(
        default=True, description="Draw `report.html` when the run ends, however it ends."
    )
    tensorboard: bool = Field(default=True, description="Write TensorBoard's files.")
    wandb: Wandb | None = Field(default=None, description="Log to Weights & Biases.")
    verify_shards: bool = Field(
        default=True,
        description="Hash every part before the first step; false trusts the disk.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where to train; auto: on a GPU if there is one."
    )

    @property
    def model_path(self) -> str:
        """The directory or hub name of the model, or of the architecture of a random one."""
        return self.model if isinstance(self.model, str) else str(self.model.config)

    @model_validator(mode="after")
    def _one_length(self) -> "TrainConfig":
        given = [name for name in ("steps", "tokens", "epochs") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"got {' and '.join(given)}; a run has one length, give one of them")
        return self

    @model_validator(mode="after")
    def _width_starts_at_0(self) -> "TrainConfig":
        if isinstance(self.sequence_tokens, tuple):
            steps = [point.from_step for point in self.sequence_tokens]
            if steps[:1] != [0] or sorted(set(steps)) != steps:
                raise ValueError("sequence_tokens: from_step must be 0 first, and then rise")
        return self


# What may change between the parts of a resumed run: where things lie, how often the run looks and
# saves, and how a batch is cut for memory. Shards count by what they hold, not where.
FREE_KEYS = frozenset(
    {"shards", "out", "micro_rows", "attention", "parallel", "compile", "activation_checkpointing"}
    | {"save_every", "eval_every", "keep_last", "keep_best", "gate", "lm_eval", "tensorboard"}
    | {"samples", "report", "wandb", "verify_shards", "device"}
)


def read_config(
    path: Path | None,
    *,
    shards: Sequence[Path] = (),
    model: str | None = None,
    out: Path | None = None,
    objective: str | None = None,
    overrides: Sequence[str] = (),
    required: Sequence[str] = ("shards", "model", "out"),
) -> TrainConfig:
    """Read the YAML at `path` (none: all defaults), then apply the flags, then `--set`.

    What a command does not need of shards, model and out is not `required`, and then `unused`.
    Raises `ConfigError` with file, line, field, what was got and what is wanted.
    """
    unused = {"shards", "model", "out"} - set(required) if path is None else set()
    flags = [f"{key}=unused" for key in sorted(unused)]
    flags += [] if not shards else [f"shards={json.dumps([str(item) for item in shards])}"]
    flags += [] if model is None else [f"model={json.dumps(model)}"]
    flags += [] if out is None else [f"out={json.dumps(str(out))}"]
    flags += [] if objective is None else [f"objective={json.dumps({objective: 1.0})}"]
    if path is None:
        given = {override.partition("=")[0].partition(".")[0] for override in [*flags, *overrides]}
        missing = [f"--{key}" for key in required if key not in given]
        if missing:
            raise ConfigError(f"got no {', '.join(missing)}; give them, or a --config with them")
    source = Path(os.devnull) if path is None else path
    return load(source, TrainConfig, [*flags, *overrides], error=ConfigError)


def fixed_values(config: TrainConfig) -> dict[str, Any]:
    """The values that may not change when a run is resumed, as JSON values."""
    values = config.model_dump(mode="json")
    return {key: value for key, value in sorted(values.items()) if key not in FREE_KEYS}


__all__ = ["FREE_KEYS", "RandomModel", "TrainConfig", "fixed_values", "read_config"]
