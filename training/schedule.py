"""The learning rate as a pure function of the step: warm-up, then decay to a floor."""

import math

from training.config import LearningRate


def learning_rate(step: int, num_steps: int, config: LearningRate) -> float:
    """Learning rate of step `step` (0-based) of a run of `num_steps`.

    Rises linearly to `peak` over the warm-up (its first step is not 0, its last is `peak`), then
    falls by `decay` so that the last step of the run has `floor * peak`.
    """
    num_warmup = warmup_steps(num_steps, config.warmup)
    if step < num_warmup:
        return config.peak * (step + 1) / num_warmup
    progress = min(1.0, (step + 1 - num_warmup) / max(1, num_steps - num_warmup))
    return config.peak * (config.floor + (1 - config.floor) * _remaining(progress, config.decay))


def warmup_steps(num_steps: int, warmup: float) -> int:
    """A warm-up below 1 is a fraction of the run, rounded up; from 1 on it is a number of steps."""
    return min(num_steps, math.ceil(warmup * num_steps) if warmup < 1 else int(warmup))


def _remaining(progress: float, decay: str) -> float:
    """Which part of the way from floor to peak is left at `progress` 0..1 of the decay."""
    if decay == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    return 1 - progress if decay == "linear" else 1.0
