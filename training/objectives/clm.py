"""Causal language modelling: cross-entropy of each token given those before it in its document."""

from typing import Any

import torch

from training.batch import IGNORED, Batch
from training.objectives.cross_entropy import cross_entropy_sum


class CausalLanguageModelling:
    """Sum of -log p(label) in nats; a unit is a target token."""

    def num_units(self, batch: Batch) -> int:
        """Target tokens: all but the first of each piece of a document, and no padding."""
        return int((batch.labels != IGNORED).sum())

    def __call__(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Nats summed over the target tokens, float64, a scalar."""
        logits = outputs.logits  # (N, t, V)
        return cross_entropy_sum(logits.flatten(0, 1), batch.labels.flatten())
