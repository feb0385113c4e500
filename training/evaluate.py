"""Validation loss by source and by document, as sums: nats, targets, bytes; divided at the end."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from training.batch import Batch, make_batch
from training.measures.documents import Documents, Pieces, Score, domains, group_by_document, join
from training.measures.targets import scored_rows
from training.parallel import Workers
from training.sources.corpus import Corpus, Rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """The loss of each position of a batch, and which positions have one."""

    nats: torch.Tensor  # (N, t) float32, 0 where there is no target
    is_target: torch.Tensor  # (N, t) bool


ScoreFunction = Callable[[Batch], Scores]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What one evaluation found, for each source with validation targets, in the order of names."""

    documents: Mapping[str, Documents]

    @property
    def scores(self) -> dict[str, Score]:
        """By source."""
        return {name: documents.score() for name, documents in self.documents.items()}

    @property
    def domain_scores(self) -> dict[str, Score]:
        """By domain, for those that have several strata; their sums, divided once."""
        return {
            domain: join([self.documents[name] for name in members]).score()
            for domain, members in domains(list(self.documents)).items()
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluator:
    """Scores a model on `num_rows` stored validation rows of each source, spread evenly over them.

    Rows are whole stored rows, so that their bytes are known; `sequence_tokens` cuts them as it
    does in training, and `micro_rows` sequences go through the model at a time. `noise_key` asks
    for noise that is fixed by document and place, for objectives that mask.

    The sums are a function of the losses of the tokens alone, bit for bit, whatever `micro_rows`
    and the number of ranks. A matrix product of another shape may round a loss differently, by
    about 1e-6 of it.
    """

    corpus: Corpus
    num_rows: int
    sequence_tokens: int
    micro_rows: int
    workers: Workers
    noise_key: int | None = None

    @property
    def num_local_rows(self) -> int:
        """Stored rows that this rank scores; the same on every rank."""
        return -(-len(self._rows()) // self.workers.size)

    @torch.no_grad()
    def evaluate(
        self, module: nn.Module, score: ScoreFunction, advance: Callable[[int], None]
    ) -> Evaluation:
        """Sums by source and document over all ranks; every rank gets all of them.

        `module` is what `score` runs, put into evaluation mode meanwhile; `advance` hears how many
        stored rows are done. Every rank makes as many forward passes, of the same shapes, as FSDP
        needs: one that has a row less scores the first row again, and drops it.
        """
        rows, rank, size = self._rows(), self.workers.rank, self.workers.size
        mine = rows[rank::size]
        padded = np.append(mine, rows[: self.num_local_rows - len(mine)])
        num_cuts = self.corpus.sequence_tokens // self.sequence_tokens
        chunk = max(1, self.micro_rows // num_cuts)
        found = []
        with evaluation_mode(module):
            for start in range(0, len(padded), chunk):
                gathered = self.corpus.gather(padded[start : start + chunk])
                found.append(self._pieces(gathered, score, num_real=len(mine) - start))
                advance(len(gathered.numbers))
        names = [source.name for source in self.corpus.sizes]
        everyone = [part for parts in self.workers.gather(found) for part in parts]
        return Evaluation(documents=group_by_document(everyone, names) if everyone else {})

    def _rows(self) -> np.ndarray:
        """Numbers of the rows that all ranks score together, source by source."""
        parts = scored_rows(self.corpus, self.num_rows)
        return np.concatenate([np.empty(0, dtype=np.int64), *parts])

    def _pieces(self, rows: Rows, score: ScoreFunction, *, num_real: int) -> Pieces:
        """The pieces of the first `num_real` of these rows, scored with all of them."""
        batch = make_batch(rows, self.sequence_tokens, noise_key=self.noise_key, fixed_noise=True)
        scored = [score(part) for part in batch.split(self.micro_rows)]
        is_target = torch.cat([part.is_target for part in scored]).flatten().cpu().numpy()
        nats = torch.cat([part.nats for part in scored]).flatten().double().cpu().numpy()
        return sum_by_piece(rows, np.where(is_target, nats, 0.0), is_target, num_real=num_real)


def sum_by_piece(rows: Rows, nats: np.ndarray, is_target: np.ndarray, *, num_real: int) -> Pieces:
    """Sums over the pieces of the first `num_real` rows; `nats` and `is_target` are flat (B * T,).

    Padding follows a row's last piece, and has no targets.
    """
    width = rows.tokens.shape[1]
    starts = rows.pieces
    row = starts // width
    # Bytes of what is learned: nats of a part of the tokens over the bytes of all mean nothing.
    is_learned = np.arange(width) < rows.num_tokens[:, None]  # (B, T)
    if rows.learned is not None:
        is_learned &= rows.learned != 0
    num_learned = np.add.reduceat(is_learned.ravel().astype(np.int64), starts)
    shares = num_learned / rows.num_tokens[row]
    pieces = {
        "sources": rows.sources[row],
        "rows": rows.numbers[row],
        "places": starts % width,
        "keys": rows.keys,
        "nats": np.add.reduceat(nats, starts),
        "num_targets": np.add.reduceat(is_target.astype(np.int64), starts),
        "num_bytes": rows.num_bytes[row] * shares,
    }
    return Pieces(**{name: values[row < num_real] for name, values in pieces.items()})


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Without dropout inside; as it was afterwards."""
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)


def weighted_loss(scores: Mapping[str, Score], weights: Mapping[str, float]) -> float:
    """Mean nats per token over the sources, by the run's final mix; what `best` minimises."""
    scored = {name: weights.get(name, 0.0) for name in scores}
    total = sum(scored.values())
    if total == 0:  # no trained source has validation rows: all count alike
        return sum(score.loss for score in scores.values()) / len(scores)
    return sum(scored[name] * score.loss for name, score in scores.items()) / total


__all__ = [
    "Evaluation",
    "Evaluator",
    "Score",
    "ScoreFunction",
    "Scores",
    "evaluation_mode",
    "sum_by_piece",
    "weighted_loss",
]
