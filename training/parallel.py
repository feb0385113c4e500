"""The ranks of a run: one process, or several under `torchrun` (gloo on CPUs, nccl on GPUs)."""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from training.errors import UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Workers:
    """This process among the processes of the run."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this rank writes and speaks."""
        return self.rank == 0

    def sums(self, values: Sequence[float]) -> list[float]:
        """Each value summed over the ranks, in float64."""
        if self.size == 1:
            return [float(value) for value in values]
        totals = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(totals)
        summed: list[float] = totals.tolist()
        return summed

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank."""
        return self.sums([float(flag)])[0] > 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model whose gradients are averaged over the ranks."""
        if self.size == 1:
            return model
        return DistributedDataParallel(model, gradient_as_bucket_view=True)

    def accumulating(self, model: nn.Module, *, last: bool) -> AbstractContextManager[None]:
        """Keep gradients on this rank until the last micro-batch of a step."""
        if isinstance(model, DistributedDataParallel) and not last:
            return model.no_sync()
        return nullcontext()


@contextmanager
def start_workers(device: str) -> Iterator[Workers]:
    """Join the process group that `torchrun` describes in the environment, if there is one."""
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    chosen = choose_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if size == 1:
        yield Workers(rank=0, size=1, device=chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Workers(rank=rank, size=size, device=chosen)
    finally:
        dist.destroy_process_group()


def choose_device(device: str, local_rank: int) -> torch.device:
    """The GPU of this rank where there is one and it is wanted, else the CPU."""
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UsageError("device: got 'cuda', but torch sees no GPU here; set device=auto or cpu")
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)
