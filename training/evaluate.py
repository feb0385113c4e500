"""Validation loss per source, as sums: nats, target tokens, bytes; divided once, at the end."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from training.batch import Batch, make_batch
from training.corpus import Corpus
from training.objectives.clm import CausalLanguageModelling
from training.parallel import Workers
from training.precision import Autocast


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Sums over one source's validation rows, all ranks.

    The first token of each piece of a document is no target, as nothing precedes it. Its bytes
    count in `num_bytes` all the same, so bits per byte are low by one token per piece; they
    compare models and tokenizers on the same rows, as all are low alike.
    """

    nats: float
    num_targets: int
    num_bytes: int

    @property
    def loss(self) -> float:
        """Nats per target token."""
        return self.nats / max(1, self.num_targets)

    @property
    def perplexity(self) -> float:
        return math.exp(min(self.loss, 700.0))  # exp(710) is the end of float64

    @property
    def bits_per_byte(self) -> float:
        return self.nats / math.log(2) / max(1, self.num_bytes)


Evaluation = Mapping[str, Score]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluator:
    """Scores a model on the first `num_rows` stored validation rows of each source.

    Rows are whole stored rows, so that their bytes are known; a shorter `sequence_tokens` cuts them
    as it does in training.
    """

    corpus: Corpus
    num_rows: int
    sequence_tokens: int
    micro_rows: int
    workers: Workers
    autocast: Autocast

    @property
    def num_local_rows(self) -> int:
        """Rows that this rank scores."""
        return sum(len(rows) for _, rows in self._rows())

    @torch.no_grad()
    def evaluate(self, model: nn.Module, advance: Callable[[int], None]) -> dict[str, Score]:
        """One score per source that has validation rows; `advance` hears of each row done."""
        model.eval()
        scores = {}
        for name, rows in self._rows():
            nats, num_targets, num_bytes = 0.0, 0, 0
            for row in rows:
                batch = make_batch(self.corpus.gather(np.array([row])), self.sequence_tokens)
                nats += self._nats(model, batch)
                num_targets += CausalLanguageModelling().num_units(batch)
                num_bytes += batch.num_bytes
                advance(1)
            sums = self.workers.sums([nats, num_targets, num_bytes])
            scores[name] = Score(nats=sums[0], num_targets=int(sums[1]), num_bytes=int(sums[2]))
        model.train()
        return scores

    def _rows(self) -> list[tuple[str, np.ndarray]]:
        """For each source its name and the numbers of the rows that this rank scores."""
        rank, size = self.workers.rank, self.workers.size
        return [
            (
                source.name,
                np.arange(first + rank, first + min(self.num_rows, source.num_rows), size),
            )
            for source, first in zip(self.corpus.sizes, self.corpus.source_first, strict=False)
        ]

    def _nats(self, model: nn.Module, batch: Batch) -> float:
        objective, nats = CausalLanguageModelling(), 0.0
        for part in batch.split(self.micro_rows):
            micro = part.to(self.workers.device)
            with self.autocast():
                outputs: Any = model(
                    input_ids=micro.input_ids, position_ids=micro.position_ids, use_cache=False
                )
            nats += float(objective(outputs, micro))
        return nats


def weighted_loss(evaluation: Evaluation, weights: Mapping[str, float]) -> float:
    """Mean nats per token over the sources, by the run's final mix; what `best` minimises."""
    scored = {name: weights.get(name, 0.0) for name in evaluation}
    total = sum(scored.values())
    if total == 0:  # no trained source has validation rows: all count alike
        return sum(score.loss for score in evaluation.values()) / len(evaluation)
    return sum(scored[name] * score.loss for name, score in evaluation.items()) / total
