"""Probabilities of a fastText classifier's labels, from the vectors of lines: compiled loops.

The two likeliest labels of each line, or the sum over chosen labels, from a hierarchical softmax or
from an output for each label.
"""

import numpy as np

from filters.kernels.compiled import kernel

ROUNDING = 1e-5  # fastText adds it to each probability before its logarithm
_NUM_STEPS, _MAX_SIGMOID = 512, 8.0  # of fastText's table of the sigmoid


@kernel
def best_two_of_tree(
    means: np.ndarray,
    counts: np.ndarray,
    output: np.ndarray,
    children: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
) -> None:
    """The two likeliest labels of each vector under hierarchical softmax, and their probabilities.

    The tree has the labels as leaves 0..n-1; node n + i has the children `children[i]`, left and
    right, and goes right with the probability sigmoid(means . output[i]). `labels` int32 (rows, 2)
    and `scores` float32 (rows, 2) get -1 and 0 where there is none.
    """
    num_labels = len(children) + 1
    pending = np.empty(num_labels + 1, np.int64)
    reached = np.empty(num_labels + 1, np.float64)
    for row in range(len(means)):
        _forget(labels[row], scores[row])
        num_pending = 1 if counts[row] else 0
        pending[0], reached[0] = 2 * num_labels - 2, 1.0
        while num_pending:
            num_pending -= 1
            node, probability = pending[num_pending], reached[num_pending]
            if not probability > scores[row, 1]:
                continue
            if node < num_labels:
                _place(node, probability, labels[row], scores[row])
                continue
            inner = node - num_labels
            right = 1 / (1 + np.exp(-dot(means[row], output[inner])))
            likelier = 1 if right > 0.5 else 0  # looked at first: then more can be passed over
            for side, chance in (
                (1 - likelier, min(right, 1 - right)),
                (likelier, max(right, 1 - right)),
            ):
                pending[num_pending] = children[inner, side]
                reached[num_pending] = probability * (chance + ROUNDING)
                num_pending += 1


@kernel
def best_two_of_all(
    means: np.ndarray,
    counts: np.ndarray,
    output: np.ndarray,
    is_softmax: bool,
    labels: np.ndarray,
    scores: np.ndarray,
) -> None:
    """As `best_two_of_tree`, under softmax or of independent labels; `output` is (dim, labels).

    Not by a matrix product of the whole batch: BLAS rounds differently for other numbers of rows.
    """
    values = np.empty(output.shape[1], np.float32)
    for row in range(len(means)):
        _forget(labels[row], scores[row])
        if not counts[row]:
            continue
        values[:] = 0
        for column in range(len(output)):
            factor = means[row, column]
            for label in range(len(values)):
                values[label] += factor * output[column, label]
        if is_softmax:
            softmax(values)
        else:
            sigmoids(values)
        for label in range(len(values)):
            probability = np.float64(values[label]) + ROUNDING
            if probability > scores[row, 1]:
                _place(label, probability, labels[row], scores[row])


@kernel
def _forget(labels: np.ndarray, scores: np.ndarray) -> None:
    labels[:] = -1
    scores[:] = 0


@kernel
def _place(label: int, probability: float, labels: np.ndarray, scores: np.ndarray) -> None:
    """Put a label that beats the second best where it belongs."""
    best = 0 if probability > scores[0] else 1
    if best == 0:
        labels[1], scores[1] = labels[0], scores[0]
    labels[best], scores[best] = label, probability


@kernel
def dot(left: np.ndarray, right: np.ndarray) -> np.float32:
    total = np.float32(0)
    for place in range(len(left)):
        total += left[place] * right[place]
    return total


@kernel
def softmax(values: np.ndarray) -> None:
    highest = np.max(values)
    total = np.float32(0)
    for label in range(len(values)):
        values[label] = np.exp(values[label] - highest)
        total += values[label]
    for label in range(len(values)):
        values[label] /= total


@kernel
def sigmoids(values: np.ndarray) -> None:
    """The sigmoid in steps of 1/32, as fastText's table has it."""
    for label in range(len(values)):
        value = values[label]
        if value < -_MAX_SIGMOID:
            values[label] = 0
        elif value > _MAX_SIGMOID:
            values[label] = 1
        else:
            step = np.int64((value + _MAX_SIGMOID) * _NUM_STEPS / _MAX_SIGMOID / 2)
            values[label] = 1 / (1 + np.exp(_MAX_SIGMOID - step * (2 * _MAX_SIGMOID) / _NUM_STEPS))


@kernel
def sum_of_all(
    means: np.ndarray,
    counts: np.ndarray,
    output: np.ndarray,
    is_softmax: bool,
    wanted: np.ndarray,
    sums: np.ndarray,
) -> None:
    """The sum over the `wanted` labels of each vector; `output` is (dim, labels).

    A vector of nothing, whose count is 0, has 0. Row by row, because BLAS rounds differently for
    other numbers of rows.
    """
    values = np.empty(output.shape[1], np.float32)
    for row in range(len(means)):
        sums[row] = 0
        if not counts[row]:
            continue
        values[:] = 0
        for column in range(len(output)):
            factor = means[row, column]
            for label in range(len(values)):
                values[label] += factor * output[column, label]
        if is_softmax:
            softmax(values)
        else:
            sigmoids(values)
        for label in wanted:
            sums[row] += np.float64(values[label]) + ROUNDING


@kernel
def sum_of_paths(
    means: np.ndarray,
    counts: np.ndarray,
    output: np.ndarray,
    path_offsets: np.ndarray,
    nodes: np.ndarray,
    sides: np.ndarray,
    sums: np.ndarray,
) -> None:
    """As `sum_of_all` under hierarchical softmax; `output` is (inner nodes, dim).

    Label l is reached over the inner nodes `nodes[path_offsets[l]:path_offsets[l + 1]]`, going
    right where `sides` is 1.
    """
    for row in range(len(means)):
        sums[row] = 0
        if not counts[row]:
            continue
        for label in range(len(path_offsets) - 1):
            probability = 1.0
            for step in range(path_offsets[label], path_offsets[label + 1]):
                right = 1 / (1 + np.exp(-dot(means[row], output[nodes[step]])))
                probability *= (right if sides[step] else 1 - right) + ROUNDING
            sums[row] += probability
