"""Loops over every token id, compiled: 0.5 ns a token, against 5 of the same in numpy calls."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def rows_with(ids: np.ndarray, offsets: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Whether row r, `ids[offsets[r]:offsets[r + 1]]`, holds an id with `wanted[id]`; bool (n)."""
    found = np.zeros(len(offsets) - 1, np.bool_)
    for row in range(len(found)):
        hit = False
        for at in range(offsets[row], offsets[row + 1]):
            hit |= wanted[ids[at]]
        found[row] = hit
    return found


@njit(cache=True, nogil=True)
def put_marks(
    ids: np.ndarray, offsets: np.ndarray, before: np.ndarray, after: np.ndarray, out: np.ndarray
) -> None:
    """Fill `out` with each row between the marks, narrowed to the type of `out`."""
    num_before, num_after = len(before), len(after)
    to = 0
    for row in range(len(offsets) - 1):
        num_ids = offsets[row + 1] - offsets[row]
        out[to : to + num_before] = before
        to += num_before
        out[to : to + num_ids] = ids[offsets[row] : offsets[row + 1]]
        to += num_ids
        out[to : to + num_after] = after
        to += num_after


@njit(cache=True, nogil=True)
def gather(
    values: np.ndarray, first: np.ndarray, length: np.ndarray, offsets: np.ndarray, rows: np.ndarray
) -> None:
    """Copy piece p, `values[first[p]:][:length[p]]`, to its place in its row; the rest stays.

    Row r takes the pieces `offsets[r]:offsets[r + 1]`, one after the other from its start.
    """
    for row in range(len(offsets) - 1):
        at = 0
        for piece in range(offsets[row], offsets[row + 1]):
            begin, tokens = first[piece], length[piece]
            rows[row, at : at + tokens] = values[begin : begin + tokens]
            at += tokens
