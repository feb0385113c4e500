"""How much two sets of hashes have in common: a compiled loop over sorted ones."""

import numpy as np

from filters.kernels.compiled import kernel


@kernel
def common_hashes(
    left_offsets: np.ndarray,
    left: np.ndarray,
    left_index: np.ndarray,
    right_offsets: np.ndarray,
    right: np.ndarray,
    right_index: np.ndarray,
    num_common: np.ndarray,
) -> None:
    """num_common[i] = |A & B| of sets left_index[i] and right_index[i], by merging."""
    for i in range(len(left_index)):
        at, end = left_offsets[left_index[i]], left_offsets[left_index[i] + 1]
        other, other_end = right_offsets[right_index[i]], right_offsets[right_index[i] + 1]
        common = 0
        while at < end and other < other_end:
            one, two = left[at], right[other]
            common += one == two
            at += one <= two
            other += two <= one
        num_common[i] = common
