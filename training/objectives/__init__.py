"""What is minimised: one file per objective, one contract for all.

An objective sums its loss over a micro-batch and never divides. The step counts the units (for
`clm`: target tokens) of the whole batch over all micro-batches and ranks first and divides once, so
the loss is the same however the batch is cut.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from training.batch import Batch
from training.config import Objective as ObjectiveConfig
from training.objectives.clm import CausalLanguageModelling


class Objective(Protocol):
    """A loss over packed rows."""

    def num_units(self, batch: Batch) -> int:
        """How many things of `batch` have a loss; known without the model."""

    def __call__(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """The sum of their losses, a scalar, from the model's outputs (`.logits` (N, t, V))."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """One summand of the training loss: `weight` times the mean of `objective` over its units."""

    name: str
    weight: float
    objective: Objective


def build_terms(config: ObjectiveConfig) -> tuple[Term, ...]:
    """The terms that the config names."""
    return (Term(name="clm", weight=config.clm, objective=CausalLanguageModelling()),)
