"""Bands and rows from a threshold: the pair with the smallest weighted error.

A pair of similarity s shares a bucket with the chance P(s) = 1 - (1 - s^rows)^bands. Below the
threshold that is a false positive, above it 1 - P(s) is a false negative; each is integrated over
its range of s, as `datasketch.MinHashLSH` does.
"""

from functools import lru_cache

import numpy as np

MAX_BANDS = MAX_ROWS = 255
_MAX_NODES = 256


@lru_cache(maxsize=64)
def best_bands(
    threshold: float, num_perm: int, false_positive_weight: float, false_negative_weight: float
) -> tuple[int, int]:
    """(bands, rows) with bands * rows <= num_perm and the smallest weighted error.

    Of equal ones the fewest bands, then the fewest rows. Neither is above 255, which `datasketch`
    does not say: with more than 255 permutations it may choose other numbers.
    """
    # Both integrands are polynomials of degree bands * rows <= num_perm, for which Gauss-Legendre
    # quadrature with half as many nodes is exact; beyond 256 nodes nothing changes to 10^-12.
    nodes, weights = np.polynomial.legendre.leggauss(min(num_perm // 2 + 1, _MAX_NODES))
    nodes, weights = (nodes + 1) / 2, weights / 2  # on 0..1
    below, above = nodes * threshold, threshold + nodes * (1 - threshold)
    best, best_error = (1, 1), float("inf")
    for bands in range(1, min(num_perm, MAX_BANDS) + 1):
        rows = np.arange(1, min(num_perm // bands, MAX_ROWS) + 1)[:, None]  # (r, 1)
        false_positive = (1 - (1 - below**rows) ** bands) @ weights * threshold  # (r,)
        false_negative = (1 - above**rows) ** bands @ weights * (1 - threshold)
        error = false_positive_weight * false_positive + false_negative_weight * false_negative
        if error.min() < best_error:
            best, best_error = (bands, int(error.argmin()) + 1), float(error.min())
    return best
