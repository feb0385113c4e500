"""Raw text to packed, sharded token files; `prepare(manifest)` is the command as a function."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.preparing import Prepared, prepare

__all__ = ["Prepared", "prepare"]


def __getattr__(name: str) -> Any:
    """Import what is asked for: who takes `pipeline.shards` alone does not wait for the rest."""
    if name not in __all__:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    from pipeline import preparing

    return getattr(preparing, name)
