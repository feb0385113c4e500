"""AdamW (Loshchilov and Hutter 2019) with decay on matrices only."""

import torch
from torch import nn

FUSED_DEVICES = ("cpu", "cuda")


def make_optimizer(
    model: nn.Module, *, weight_decay: float, betas: tuple[float, float], device: torch.device
) -> torch.optim.Optimizer:
    """AdamW over the trainable parameters; biases and norms (one dimension) are not decayed."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=betas, fused=device.type in FUSED_DEVICES)
