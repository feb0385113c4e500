"""The model as the objectives see it, and the module that computes a micro-batch's loss.

DDP and FSDP2 wrap `LossModule`, so whatever touches the parameters with gradients happens inside
one forward call of theirs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from training.attention import model_inputs
from training.batch import Batch
from training.errors import ObjectiveError
from training.evaluate import Scores
from training.objectives.contract import (
    InputObjective,
    Loss,
    TokenLoss,
    TokenObjective,
)
from training.objectives.token_losses import Watch, WeightedLoss, losses_of, sum_losses
from training.precision import Autocast

NUM_TRIED = 8  # tokens; what the layers make of them does not matter


class Body:
    """A Hugging Face model up to its output embedding, whose product the losses take in chunks.

    Not every model's logits are that product alone (Gemma 2 caps them, Granite scales them), so it
    is tried: where the two differ, `head` is None and `hidden` gives the logits themselves.
    """

    def __init__(self, model: Any, autocast: Autocast = nullcontext) -> None:
        self.model = model
        self.autocast = autocast
        self.head = _output_embedding(model)
        if self.head is not None and not self._head_is_all(self.head):
            self.head = None

    def hidden(self, batch: Batch) -> torch.Tensor:
        """(N, t, D): what goes into the output embedding; (N, t, V) where there is no `head`."""
        with _bypassed(self.head):
            states: torch.Tensor = self.model(**model_inputs(self.model, batch)).logits
        return states

    def pooled_states(self, batch: Batch) -> torch.Tensor:
        """(N, t, D): the last hidden states, of any model."""
        if self.head is not None:
            return self.hidden(batch)
        inputs = model_inputs(self.model, batch)
        states: torch.Tensor = self.model(**inputs, output_hidden_states=True).hidden_states[-1]
        return states

    @torch.no_grad()
    def _head_is_all(self, head: nn.Linear) -> bool:
        """Whether what the head returns is what the model returns, up to +-60, where caps are."""
        ids = torch.arange(NUM_TRIED, device=self.model.device).remainder(len(head.weight))[None]
        size = NUM_TRIED * len(head.weight)
        probe = torch.linspace(-60, 60, size, device=ids.device).reshape(1, NUM_TRIED, -1)
        seen: list[torch.Tensor] = []

        def instead(states: torch.Tensor) -> torch.Tensor:
            seen.append(states)
            return probe.to(states.dtype)

        was_training = self.model.training
        self.model.eval()
        with self.autocast(), _replaced(head, instead):
            logits = self.model(input_ids=ids, use_cache=False).logits
        self.model.train(was_training)
        if len(seen) != 1 or seen[0].shape != (1, NUM_TRIED, head.in_features):
            return False
        return torch.equal(logits.float(), probe.to(seen[0].dtype).float())


def _output_embedding(model: Any) -> nn.Linear | None:
    """The last layer, if it is a plain one: an adapter on it computes more than its product."""
    head = model.get_output_embeddings()
    return head if type(head) is nn.Linear else None


@contextmanager
def _replaced(head: nn.Linear, forward: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Inside, the head does something else; its weights stay where they are."""
    head.forward = forward  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        del head.forward


def _bypassed(head: nn.Linear | None) -> AbstractContextManager[None]:
    """Inside, the head hands on what it is given, so a model's `logits` are its hidden states."""
    return nullcontext() if head is None else _replaced(head, _identity)


def _identity(states: torch.Tensor) -> torch.Tensor:
    return states


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """One summand of the training loss: `weight` times the mean of `objective` over its units."""

    name: str
    weight: float
    objective: Any  # a TokenObjective, an Objective or a Penalty


@dataclass(frozen=True, kw_only=True, slots=True)
class Sums:
    """What a micro-batch adds to the step."""

    total: torch.Tensor  # scalar: the terms' sums by their scales; go backward from here
    terms: torch.Tensor  # (terms,) float64, plain sums
    num_units: Mapping[int, int] = field(default_factory=dict)  # as objectives on rows counted
    metrics: Mapping[str, float] = field(default_factory=dict)
    sources: torch.Tensor | None = None  # (S, 2) float64: nats and targets of the first term


class LossModule(nn.Module):
    """Model, heads and objectives; its forward pass gives the scaled loss of a micro-batch."""

    def __init__(
        self,
        model: Any,
        terms: Sequence[Term],
        autocast: Autocast,
        *,
        scorer: Any,
        heads: nn.ModuleDict | None = None,
        num_sources: int = 0,
    ) -> None:
        """`scorer`: the token objective that validation measures, which also masks the batches."""
        super().__init__()
        self.model = model
        self.heads = nn.ModuleDict() if heads is None else heads
        self.body = Body(model, autocast)
        self.autocast = autocast
        self.scorer = scorer
        self.num_sources = num_sources
        self.terms = tuple(terms)
        self.on_tokens = [n for n, t in enumerate(terms) if isinstance(t.objective, TokenObjective)]
        self.on_rows = [n for n, t in enumerate(terms) if n not in self.on_tokens]

    def corrupt(self, batch: Batch) -> Batch:
        """The batch as the model is to see it: masked, if that is how it is trained."""
        return self.scorer.corrupt(batch) if isinstance(self.scorer, InputObjective) else batch

    def forward(self, batch: Batch, scales: Sequence[float] | None) -> Sums | Scores:
        """The loss of a batch as `corrupt` gives it, or, without `scales`, the scores of a batch.

        `scales`: weight over units of the step, for each term.
        """
        return self._score(batch) if scales is None else self._losses(batch, scales)

    def _losses(self, batch: Batch, scales: Sequence[float]) -> Sums:
        with self.autocast():
            view = View(self.body, batch)
            sums = torch.zeros(len(self.terms), dtype=torch.float64, device=batch.labels.device)
            total = torch.zeros((), dtype=torch.float64, device=batch.labels.device)
            watch = self._watch(batch)
            if self.on_tokens:
                losses = self._weighted(batch, scales)
                total, sums[self.on_tokens] = sum_losses(view.hidden, self.body.head, losses, watch)
            metrics: dict[str, float] = {}
            units: dict[int, int] = {}
            for number in self.on_rows:
                loss = read_loss(self.terms[number], view, batch)
                total = total + scales[number] * loss.total
                sums[number], units[number] = loss.total.detach(), int(loss.num_units)
                metrics |= {f"{self.terms[number].name}/{k}": v for k, v in loss.metrics.items()}
        return Sums(
            total=total,
            terms=sums,
            num_units=units,
            metrics=metrics,
            sources=None if watch is None else watch.sums,
        )

    @torch.no_grad()
    def _score(self, batch: Batch) -> Scores:
        """Nats of each token, plain: no smoothing, no other terms."""
        batch = self.corrupt(batch.to(self.model.device))
        unit = self.scorer.is_unit(batch)
        term = WeightedLoss(loss=self.scorer.prepare(batch), is_unit=unit.flatten(), scale=1.0)
        with self.autocast():
            nats = losses_of(self.body.hidden(batch), self.body.head, term)
        return Scores(nats=nats.reshape(unit.shape), is_target=unit)

    @torch.no_grad()
    def next_token(self, ids: torch.Tensor, cache: Any) -> tuple[torch.Tensor, Any]:
        """Logits (N, V) of what follows `ids` (N, t), and the model's cache to go on with.

        With the cache of the call before, `ids` are the tokens since then. A model that keeps none
        gives None: call it with all tokens again.
        """
        with self.autocast():
            outputs = self.model(input_ids=ids, past_key_values=cache, use_cache=True)
        return outputs.logits[:, -1].float(), getattr(outputs, "past_key_values", None)

    def _weighted(self, batch: Batch, scales: Sequence[float]) -> list[WeightedLoss]:
        terms = [(self.terms[number].objective, scales[number]) for number in self.on_tokens]
        return [
            WeightedLoss(loss=o.prepare(batch), is_unit=o.is_unit(batch).flatten(), scale=scale)
            for o, scale in terms
        ]

    def _watch(self, batch: Batch) -> Watch | None:
        if not (self.num_sources and self.on_tokens):
            return None
        sums = torch.zeros(self.num_sources, 2, dtype=torch.float64, device=batch.labels.device)
        groups = batch.sources[:, None].expand_as(batch.labels).flatten()
        return Watch(groups=groups, sums=sums)


def read_loss(term: Term, view: "View", batch: Batch) -> Loss:
    """What an objective on rows returns. Raises `ObjectiveError` where that is not the contract."""
    returned = term.objective(view, batch)
    parts = returned if isinstance(returned, tuple) else ()
    if not (2 <= len(parts) <= 3 and isinstance(parts[0], torch.Tensor) and parts[0].ndim == 0):
        raise ObjectiveError(
            f"objective {term.name}: returned {type(returned).__name__}, want a tuple "
            "(sum, num_units, metrics) of a scalar tensor, a number and a mapping of sums"
        )
    return Loss(*parts)


class View:
    """A micro-batch through the model, computed when it is first asked for."""

    def __init__(self, body: Body, batch: Batch) -> None:
        self.body, self.batch = body, batch
        self._hidden: torch.Tensor | None = None

    @property
    def hidden(self) -> torch.Tensor:
        """(N, t, D), or the logits of a model whose head cannot be split off."""
        if self._hidden is None:
            self._hidden = self.body.hidden(self.batch)
        return self._hidden

    @property
    def logits(self) -> torch.Tensor:
        """(N, t, V)."""
        return self.hidden if self.body.head is None else self.body.head(self.hidden)

    @property
    def states(self) -> torch.Tensor:
        """(N, t, D): the last hidden states, to pool."""
        return self.hidden if self.body.head is not None else self.body.pooled_states(self.batch)

    @property
    def model(self) -> Any:
        """The Hugging Face model, for objectives that write text with it."""
        return self.body.model

    def encode(self, batch: Batch) -> torch.Tensor:
        """(N', t', D): the last hidden states of another batch, with gradients."""
        return self.body.pooled_states(batch)

    def token_losses(self, batch: Batch, loss: TokenLoss, is_unit: torch.Tensor) -> torch.Tensor:
        """The sum, a scalar, of a token loss over another batch, a chunk of logits at a time."""
        term = WeightedLoss(loss=loss, is_unit=is_unit.flatten(), scale=1.0)
        total, _ = sum_losses(self.body.hidden(batch), self.body.head, [term])
        return total
