"""float32 weights always; bf16 only inside the forward pass, through autocast."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch

Autocast = Callable[[], AbstractContextManager[None]]


def make_autocast(precision: str, device: torch.device) -> Autocast:
    """What to run a forward pass in. `auto` is bf16 on a GPU that has it, else float32."""
    automatic = device.type == "cuda" and torch.cuda.is_bf16_supported()
    if precision == "bf16" or (precision == "auto" and automatic):
        return partial(torch.autocast, device.type, dtype=torch.bfloat16)
    return nullcontext
