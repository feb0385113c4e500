"""`samples.jsonl`: what the model writes on from the same prompts as it learns.

One line per prompt and evaluation:

    {"kind": "sample", "step": 0, "source": "domain", "document": "<key>", "prompt": "...",
     "reference": "<how the document goes on>", "text": "<what the model wrote>", "num_tokens": 48}

Decoding is greedy, without dropout and without a random number, so it changes nothing in the run
and is the same again after a resume. Prompts of one length go through the model together, unpadded.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from training.attention import without_flex
from training.config import TrainConfig
from training.data import Data
from training.errors import ConfigError
from training.evaluate import evaluation_mode
from training.forward import LossModule
from training.measures.prompts import Prompt, bos_of, document_prompts, text_prompts

TOKENIZER = "tokenizer.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Continuations:
    """The prompts of a run, and how they are written on from."""

    prompts: tuple[Prompt, ...]
    tokenizer: Any  # of the `tokenizers` library
    new_tokens: int
    width: int  # tokens of prompt and text together, at most
    every: int | None
    eos_id: int | None
    num_ids: int  # a model may have rows in its embedding beyond the tokenizer's

    def due(self, step: int, num_steps: int) -> bool:
        """At step 0, at the end, and at the evaluations between unless `every` leaves them out."""
        return step in (0, num_steps) or self.every is None or step % self.every == 0

    def write(self, losses: LossModule) -> list[dict[str, Any]]:
        """The values of a line for each prompt, in their order. Every rank makes the same calls."""
        written: dict[int, list[int]] = {}
        lengths = sorted({len(prompt.tokens) for prompt in self.prompts})
        with evaluation_mode(losses), without_flex(losses.model), uncompiled():
            for length in lengths:
                members = [n for n, p in enumerate(self.prompts) if len(p.tokens) == length]
                ids = torch.tensor([self.prompts[n].tokens for n in members])
                texts = self._continue(losses, ids.to(losses.model.device))
                written |= dict(zip(members, texts, strict=True))
        # Weights cast here, without gradients, are not for the pass that wants them.
        torch.clear_autocast_cache()
        return [self._values(prompt, written[n]) for n, prompt in enumerate(self.prompts)]

    def _continue(self, losses: LossModule, ids: torch.Tensor) -> list[list[int]]:
        """What follows each of `ids` (N, t), without `eos_id` and what would come after it."""
        num_new = min(self.new_tokens, self.width - ids.shape[1])
        if num_new < 1:
            return [[] for _ in ids]
        cache, fresh, chosen = None, ids, []
        for _ in range(num_new):
            logits, cache = losses.next_token(fresh, cache)
            token = logits[:, : self.num_ids].argmax(-1, keepdim=True)  # (N, 1)
            chosen.append(token)
            ids = torch.cat([ids, token], dim=1)
            fresh = ids if cache is None else token
        rows = torch.cat(chosen, dim=1).tolist()
        return [row[: row.index(self.eos_id)] if self.eos_id in row else row for row in rows]

    def _values(self, prompt: Prompt, tokens: Sequence[int]) -> dict[str, Any]:
        return {
            "source": prompt.source,
            "document": prompt.key,
            "prompt": self._decode(prompt.tokens),
            "reference": self._after(prompt.tokens, prompt.following),
            "text": self._after(prompt.tokens, tokens),
            "num_tokens": len(tokens),
        }

    def _after(self, before: Sequence[int], tokens: Sequence[int]) -> str:
        """Decoded behind the prompt, as some tokenizers drop the space that a text begins with."""
        start, whole = self._decode(before), self._decode([*before, *tokens])
        return whole[len(start) :] if whole.startswith(start) else self._decode(tokens)

    def _decode(self, tokens: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text


def make_continuations(
    config: TrainConfig, data: Data, say: Callable[[str], None]
) -> Continuations | None:
    """None where there is nothing to write: not asked for, no prompt, a masked model.

    Says so where texts were asked for. Raises `ConfigError`.
    """
    samples = config.samples
    if samples is None:
        return None
    why = why_none(config, data)
    if why is not None:
        if samples.prompts:
            say(f"samples: none are written: {why}")
        return None
    from tokenizers import Tokenizer

    first = data.sets[0]
    tokenizer, identity = (
        Tokenizer.from_file(str(first.tokenizer_path / TOKENIZER)),
        first.index.tokenizer,
    )
    prompts = document_prompts(data.validation, config.eval_rows, samples, data.sequence_tokens)
    if samples.prompts:
        bos = bos_of(data.corpus, identity.bos_id)
        prompts = text_prompts(samples, encoder(tokenizer), bos, data.sequence_tokens)
    if not prompts:
        return None
    return Continuations(
        prompts=prompts,
        tokenizer=tokenizer,
        new_tokens=samples.new_tokens,
        width=data.sequence_tokens,
        every=samples.every,
        eos_id=identity.eos_id,
        num_ids=identity.num_ids,
    )


def why_none(config: TrainConfig, data: Data) -> str | None:
    """Why a run that should write samples cannot."""
    if config.objective.mlm is not None:
        return "a masked model fills in and does not write on"
    if not (data.sets[0].tokenizer_path / TOKENIZER).is_file():
        return f"{data.sets[0].tokenizer_path / TOKENIZER} is missing"
    return None


def check_samples(config: TrainConfig) -> None:
    """Raise `ConfigError` for samples between evaluations."""
    every = None if config.samples is None else config.samples.every
    if every is not None and every % config.eval_every:
        raise ConfigError(
            f"samples.every: got {every}, want a multiple of eval_every ({config.eval_every}), "
            "which is when the run looks"
        )


def encoder(tokenizer: Any) -> Callable[[str], list[int]]:
    """Text to token ids, without special ones."""
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)


def uncompiled() -> AbstractContextManager[None]:
    """Without `torch.compile`: every length of the cache would be compiled anew."""
    stance: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return stance
