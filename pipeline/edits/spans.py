"""Compiled loops over what was found in texts: which of it repeats, and where it overlaps."""

import numpy as np

from filters.kernels.compiled import kernel


@kernel
def look_up(
    keys: np.ndarray, values: np.ndarray, wanted: np.ndarray, own: np.ndarray
) -> np.ndarray:
    """Which of `wanted` stand among the ascending `keys` with a value that is not their own."""
    found = np.zeros(len(wanted), np.bool_)
    for i in range(len(wanted)):
        low, high = 0, len(keys)
        while low < high:
            middle = (low + high) // 2
            if keys[middle] < wanted[i]:
                low = middle + 1
            else:
                high = middle
        found[i] = low < len(keys) and keys[low] == wanted[i] and values[low] != own[i]
    return found


@kernel
def unite(
    high: np.ndarray, low: np.ndarray, starts: np.ndarray, stops: np.ndarray, first: np.ndarray
) -> None:
    """Unite the overlapping spans of each text, sorted by text and start: the first one of each
    union gets the end of all, and is marked."""
    last = 0
    for i in range(len(high)):
        same = i > 0 and high[i] == high[last] and low[i] == low[last]
        if same and starts[i] <= stops[last]:
            stops[last] = max(stops[last], stops[i])
        else:
            first[i], last = True, i
