"""Learning rate, optimizer, precision: how the weights move."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipeline.configfile import Config
from training.config.base import Count, Fraction, ImportPath, Positive


class Phase(Config):
    """One piece of the learning rate: from where it is to `to * peak`, over `length`.

    `length` below or at 1 is a fraction of the run, above 1 a number of steps; the last phase may
    leave it out and takes what is left. Shapes: `linear`; `cosine` (half a wave); `hold` (stays);
    `sqrt` (1 - sqrt, Hägele et al. 2024); `inverse_sqrt` (as 1 / sqrt(step)).
    """

    shape: Literal["linear", "cosine", "hold", "sqrt", "inverse_sqrt"] = Field(
        description="How the rate moves."
    )
    to: Annotated[float, Field(ge=0)] | None = None
    length: Positive | None = None

    @model_validator(mode="after")
    def _hold_has_no_goal(self) -> "Phase":
        if (self.shape == "hold") == (self.to is not None):
            raise ValueError("want `to` for every shape but hold, which stays where it is")
        return self


class LearningRate(Config):
    """Linear warm-up to `peak`, then `decay` to `floor * peak` at the last step.

    `warmup` below 1 is a fraction of the steps, from 1 on a number of steps. Or `phases`, one after
    the other, from `initial * peak`: whatever else there is (hold, re-warming, infinite, floors).
    """

    peak: Positive = 1e-5
    warmup: Annotated[float, Field(ge=0)] = 0.03
    decay: Literal["cosine", "linear", "sqrt", "constant"] = "cosine"
    floor: Fraction = 0.1
    initial: Annotated[float, Field(ge=0)] = 0.0
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_spec(self) -> "LearningRate":
        shaped = {"warmup", "decay", "floor"} & self.model_fields_set
        if self.phases is not None and shaped:
            raise ValueError(f"phases say everything; leave {', '.join(sorted(shaped))} out")
        if self.phases is None and self.initial:
            raise ValueError("initial goes with phases")
        open_ended = [phase.length is None for phase in self.phases or ()]
        if any(open_ended[:-1]):
            raise ValueError("only the last phase may leave its length out")
        return self


class Optimizer(Config):
    """`adamw`, `muon` (torch.optim.Muon on the matrices of the layers, AdamW on the rest), or the
    import path of a `torch.optim.Optimizer` class, called with parameter groups and `options`."""

    use: Literal["adamw", "muon"] | ImportPath = Field(
        default="adamw", description="Its name, or package.module:Class."
    )
    options: dict[str, Any] = Field(default_factory=dict)


class Lora(Config):
    """Low-rank adapters through `peft` (extra `lora`); the base weights are frozen."""

    r: Count = Field(default=16, description="Rank of the adapters.")
    alpha: Positive = Field(default=32, description="Their output is scaled by alpha / r.")
    dropout: Fraction = Field(default=0.0, description="Of their input.")
    target_modules: tuple[str, ...] | Literal["all-linear"] = Field(
        default="all-linear", description="Names of the modules that get one."
    )


class Spikes(Config):
    """A finite loss more than `deviations` standard deviations above the mean of the last `window`.

    `action: report` notes it; `rewind` goes back to the last checkpoint and skips the rows from
    `skip_steps` before the spike up to it.
    """

    action: Literal["report", "rewind"] = "report"
    deviations: Positive = 6.0
    window: Annotated[int, Field(ge=8)] = 64
    skip_steps: Count = 2
    max_rewinds: Count = Field(default=3, description="After as many the run ends.")
