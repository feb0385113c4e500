"""Summed cross-entropy that never holds a second copy of all logits in float32.

`F.cross_entropy` keeps the log-probabilities of every token for the backward pass and makes two
more arrays of that size on the way back: with 49,152 tokens in the vocabulary, 0.2 MB each per
token. Here both passes go over the tokens in chunks and keep one number per token, so all that is
held beside the logits is their gradient.
"""

from typing import Any

import torch

from training.batch import IGNORED

# Logits per chunk. On a CPU a chunk should stay in the cache between the passes over it; a GPU
# wants few large kernels.
CHUNK_LOGITS = {"cpu": 1 << 20, "cuda": 1 << 26}


def cross_entropy_sum(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Sum of -log softmax(logits)[label] over the rows whose label is not `IGNORED`.

    logits (N, V) of any float type, labels (N,) int64. Computed in float32, summed in float64.
    """
    apply: Any = _CrossEntropySum.apply
    total: torch.Tensor = apply(logits, labels)
    return total


class _CrossEntropySum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        targets = labels.clamp(min=0)
        log_sums = torch.empty(len(labels), dtype=torch.float32, device=logits.device)
        for start, stop in _chunks(logits):
            log_sums[start:stop] = logits[start:stop].float().logsumexp(dim=-1)
        chosen = logits.gather(-1, targets[:, None])[:, 0].float()
        ctx.save_for_backward(logits, labels, log_sums)
        losses = torch.where(labels != IGNORED, log_sums - chosen, 0.0)
        return losses.double().sum()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        logits, labels, log_sums = ctx.saved_tensors
        gradient = torch.empty_like(logits)
        scale = torch.where(labels != IGNORED, grad.float(), 0.0)[:, None]  # (N, 1)
        targets = labels.clamp(min=0)[:, None]
        for start, stop in _chunks(logits):
            part = logits[start:stop].float() - log_sums[start:stop, None]
            part = part.exp_().mul_(scale[start:stop])  # softmax, (chunk, V)
            part.scatter_add_(-1, targets[start:stop], -scale[start:stop])
            gradient[start:stop] = part
        return gradient, None


def _chunks(logits: torch.Tensor) -> list[tuple[int, int]]:
    num_rows, vocabulary = logits.shape
    size = max(1, CHUNK_LOGITS.get(logits.device.type, CHUNK_LOGITS["cuda"]) // vocabulary)
    return [(start, min(start + size, num_rows)) for start in range(0, num_rows, size)]
