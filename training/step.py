"""One optimizer step: sum the loss over micro-batches and ranks, divide once, move or refuse."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from training.batch import Batch
from training.objectives import Term
from training.parallel import Workers
from training.precision import Autocast


@dataclass(frozen=True, kw_only=True, slots=True)
class StepResult:
    """What a step did. `loss`: weighted mean over the units of the whole step, all ranks."""

    loss: float
    grad_norm: float  # before clipping
    num_units: int  # of the first term, over all ranks
    moved: bool  # False: loss or gradient was not finite, and nothing changed


@dataclass(frozen=True, kw_only=True, slots=True)
class Stepper:
    """Everything that a step needs and that stays the same over the run."""

    model: nn.Module  # as wrapped by `workers`
    optimizer: torch.optim.Optimizer
    terms: tuple[Term, ...]
    workers: Workers
    autocast: Autocast
    max_grad_norm: float

    def step(self, micro_batches: Sequence[Batch], learning_rate: float) -> StepResult:
        """Take this rank's micro-batches of one step; every rank must have as many."""
        units = self.workers.sums(
            [sum(term.objective.num_units(b) for b in micro_batches) for term in self.terms]
        )
        loss = 0.0
        for number, batch in enumerate(micro_batches, 1):
            with self.workers.accumulating(self.model, last=number == len(micro_batches)):
                loss += self._backward(batch, units)
        (loss,) = self.workers.sums([loss])
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.max_grad_norm))
        if moved := math.isfinite(loss) and math.isfinite(norm):
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return StepResult(loss=loss, grad_norm=norm, num_units=int(units[0]), moved=moved)

    def _backward(self, batch: Batch, units: Sequence[float]) -> float:
        """Add this micro-batch's share of the step's gradient; its share of the step's loss."""
        batch = batch.to(self.workers.device)
        with self.autocast():
            # Without a mask and without a cache, Transformers derives the documents of a row from
            # the positions; `attention_leak` has seen that this model does.
            outputs = self.model(
                input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False
            )
        loss = torch.zeros((), dtype=torch.float64, device=self.workers.device)
        for term, num_units in zip(self.terms, units, strict=True):
            loss = loss + term.weight * term.objective(outputs, batch) / max(1.0, num_units)
        # DDP averages over the ranks what is already divided by the count of all ranks.
        (loss * self.workers.size).backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())
