"""What the run reads: weights of sources over time, replay, curricula, online mixing, row width."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.configfile import Config
from training.config.base import Count, Fraction, Positive, Share

Point = tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]]


class MixEntry(Config):
    """One source's share of the tokens over the run.

    `start` to `end` (default: `start`) by `schedule`: `linear` or `cosine` over the whole run,
    `fixed`, or `step` (`start` until `at`, then `end`; `at` is a fraction of the run). Or `points`,
    [[when, weight], ...] in order, straight lines between them: `when` up to 1 is a fraction of the
    run, above 1 a number of steps, or of tokens with `unit: tokens`. A source that was seen
    `max_epochs` times runs out; the others share its weight.
    """

    start: Fraction | None = None
    end: Fraction | None = None
    schedule: Literal["linear", "fixed", "cosine", "step"] = "linear"
    at: Share | None = None
    points: Annotated[tuple[Point, ...], Field(min_length=1)] | None = None
    unit: Literal["steps", "tokens"] = "steps"
    max_epochs: Positive | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> "MixEntry":
        if (self.start is None) == (self.points is None):
            raise ValueError("give either start (and end) or points")
        if self.points is not None and (self.end is not None or self.at is not None):
            raise ValueError("points say everything; leave end and at out")
        if self.points is not None and list(self.points) != sorted(self.points):
            raise ValueError("points must be in the order of when they are")
        if self.schedule == "fixed" and self.end not in (None, self.start):
            raise ValueError("a fixed schedule has no other end; leave `end` out or say linear")
        if (self.schedule == "step") != (self.at is not None):
            raise ValueError("`at` and schedule: step go together; give both or none")
        return self


class Replay(Config):
    """A constant share `ratio` of the tokens comes from `source`; the mix shares the rest.

    `compute: equal`: the run is as long as without replay, so the mix gives up `ratio` of its
    tokens (Ibrahim et al. 2024). `added`: the run is longer by 1 / (1 - ratio), so the mix keeps
    all of its tokens.
    """

    source: str
    ratio: Share
    compute: Literal["equal", "added"] = "equal"


class Curriculum(Config):
    """The order in which the strata of one source come; its weight in the mix stays what it is.

    `order` names strata of the source as the shards do, first to last. Each takes as much of the
    source's share as it has tokens, one after the other; `overlap` mixes in that fraction of an
    order without any order (1: proportional throughout).
    """

    order: Annotated[tuple[str, ...], Field(min_length=2)]
    overlap: Fraction = 0.0


class OnlineMixing(Config):
    """Weights that follow the losses of the sources: ODM (Albalak et al. 2023, arXiv:2312.02406).

    An exponential-weights bandit (EXP3): the reward of a source is its training loss, averaged
    with `smoothing`; weights are updated every `every` steps and start from the mix.
    """

    every: Count = 10
    warmup_steps: Count = Field(default=20, description="Steps before the first update.")
    smoothing: Share = 0.9


class WidthPoint(Config):
    """From step `from_step` on, rows are cut into rows of `tokens`."""

    from_step: Annotated[int, Field(ge=0)]
    tokens: Annotated[int, Field(ge=2)]
