"""The decorator of all compiled loops."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """numba's `njit`, cached on disk and without the GIL, typed."""
    return cast(Callable[P, R], numba.njit(cache=True, nogil=True)(function))


def was_compiled(function: Callable[..., Any]) -> bool:
    """Whether any kernel of this one's folder is in numba's cache on disk.

    `function` is what `kernel` made. The folder is that of its module, or NUMBA_CACHE_DIR.
    """
    return any(Path(cast(Any, function).stats.cache_path).glob("*.nbi"))
