"""The start-up self-test: documents that share a row must not see each other.

Transformers derives the documents of a row from position ids that restart, for the attention
implementations and models that it knows; others ignore the positions, or take them for batches of
one row only, and say nothing. So every run tries it on the model that it will train.
"""

import math
from typing import Any

import torch

from training.errors import ModelError
from training.precision import Autocast

NUM_ROWS = 2  # FlashAttention 2 finds packed documents in a batch of one row and leaks in two
DOCUMENT_TOKENS = 12
TOLERANCE = 1e-6  # of the largest logit: what is masked adds an exact zero


def check_attention(model: Any, vocabulary: int, autocast: Autocast) -> None:
    """Raise `ModelError` if the second document's logits move when the first one changes."""
    leak, name = attention_leak(model, vocabulary, autocast), type(model).__name__
    if math.isnan(leak):
        raise ModelError(
            f"model: {name}: got logits that are not finite on random tokens; its weights are "
            "damaged: take another copy or another checkpoint"
        )
    if leak > TOLERANCE:
        raise ModelError(
            f"model: {name} with {model.config._attn_implementation} attention sees other "
            f"documents of a packed row: logits moved by {leak:.1e} of their size, want 0; set "
            "attention=eager, or take a model that masks by position_ids"
        )


@torch.no_grad()
def attention_leak(model: Any, vocabulary: int, autocast: Autocast) -> float:
    """How far document 2's logits move, relative to the largest, when document 1 changes.

    Two rows of two documents; infinite where the model does not take `position_ids` at all, NaN
    where its logits are not finite.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (NUM_ROWS, 2 * DOCUMENT_TOKENS)
    tokens = torch.randint(0, vocabulary, shape, generator=generator)
    changed = tokens.clone()
    changed[:, :DOCUMENT_TOKENS] = (changed[:, :DOCUMENT_TOKENS] + 1) % vocabulary
    positions = torch.arange(DOCUMENT_TOKENS).repeat(2).expand(shape)
    was_training = model.training
    model.eval()
    try:
        with autocast():
            first, second = (
                model(
                    input_ids=ids.to(model.device),
                    position_ids=positions.to(model.device),
                    use_cache=False,
                ).logits[:, DOCUMENT_TOKENS:]
                for ids in (tokens, changed)
            )
    except TypeError:
        return float("inf")
    finally:
        model.train(was_training)
    return float((first - second).abs().max() / first.abs().max())
