"""Continued pre-training on token shards; `train(config)` is the command as a function."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.notebook import Trained, train

__all__ = ["Trained", "train"]


def __getattr__(name: str) -> Any:
    """Import what is asked for: `train --help` does not wait for torch."""
    if name not in __all__:
        raise AttributeError(f"module 'training' has no attribute {name!r}")
    from training import notebook

    return getattr(notebook, name)
