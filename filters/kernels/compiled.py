"""The decorator of all compiled loops."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """numba's `njit`, cached on disk and without the GIL, typed."""
    return cast(Callable[P, R], numba.njit(cache=True, nogil=True)(function))
