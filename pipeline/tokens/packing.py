"""Which document goes into which row: plans over document lengths, without a token in sight.

best_fit is the packing of Ding et al. 2024, "Fewer Truncations Improve Language Modeling"
(arXiv:2404.10830): a document longer than T tokens is cut into pieces of T and a remainder; the
pieces are placed by best-fit-decreasing, each into the fullest row that still holds it, in
O(n log T) with the paper's segment tree over remaining capacities. concat joins all documents and
cuts at every T tokens. pad gives each document rows of its own, which is what a model wants that
cannot keep documents of one row apart. A further strategy is one more function in `_STRATEGIES`.

Plans are functions of the lengths alone, so the same documents give the same rows everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

from pipeline.tokens.config import PackConfig, Strategy


@dataclass(frozen=True, slots=True)
class Plan:
    """Pieces of documents by row, all int64 and flat.

    Row r holds the pieces `row_offsets[r]:row_offsets[r + 1]`, at least one, in document order;
    piece p is `length[p]` tokens, at least one, of document `document[p]` from its token
    `start[p]` on. Documents without tokens are in no row.
    """

    row_offsets: np.ndarray
    document: np.ndarray
    start: np.ndarray
    length: np.ndarray

    @property
    def num_rows(self) -> int:
        return len(self.row_offsets) - 1

    def utilisation(self, sequence_tokens: int) -> float:
        """Real tokens as a fraction of the rows' places; 1.0 for an empty plan."""
        places = self.num_rows * sequence_tokens
        return float(self.length.sum() / places) if places else 1.0

    def num_truncated(self, lengths: np.ndarray, sequence_tokens: int) -> int:
        """Documents cut more often than their length asks for."""
        pieces = np.bincount(self.document, minlength=len(lengths))
        return int(np.count_nonzero(pieces > -(-lengths // sequence_tokens)))


def make_plan(lengths: np.ndarray, config: PackConfig) -> Plan:
    """Plan the rows of documents of these lengths (int64, tokens) by `config.strategy`."""
    return _STRATEGIES[config.strategy](np.asarray(lengths, np.int64), config.sequence_tokens)


def best_fit(lengths: np.ndarray, sequence_tokens: int) -> Plan:
    """Best-fit-decreasing; no document of at most `sequence_tokens` tokens is cut.

    Equal pieces are placed in document order, and of equally full rows the one takes a piece that
    has been so full for longest. Rows stand in the order of their first document.
    """
    document, start, length = _pieces(lengths, sequence_tokens)
    longest_first = np.argsort(-length, kind="stable")
    row = _place(length[longest_first], sequence_tokens)
    row_of_piece = np.empty_like(row)
    row_of_piece[longest_first] = row
    _, first, inverse = np.unique(row_of_piece, return_index=True, return_inverse=True)
    rank = np.empty_like(first)
    rank[np.argsort(first)] = np.arange(len(first))
    row_of_piece = rank[inverse]
    order = np.argsort(row_of_piece, kind="stable")
    ends = np.cumsum(np.bincount(row_of_piece, minlength=len(first)))
    row_offsets = np.concatenate([[0], ends]).astype(np.int64)
    return Plan(row_offsets, document[order], start[order], length[order])


def concat(lengths: np.ndarray, sequence_tokens: int) -> Plan:
    """Documents end to end, cut at every `sequence_tokens` tokens; the last row may be short."""
    ends = np.cumsum(lengths)
    begins = ends - lengths
    total = int(ends[-1]) if len(ends) else 0
    rows = np.arange(0, total, sequence_tokens)
    cuts = np.union1d(begins[lengths > 0], rows).astype(np.int64)
    document = np.searchsorted(ends, cuts, side="right")
    row_offsets = np.append(np.searchsorted(cuts, rows), len(cuts)).astype(np.int64)
    return Plan(row_offsets, document, cuts - begins[document], np.diff(cuts, append=total))


def pad(lengths: np.ndarray, sequence_tokens: int) -> Plan:
    """A row a document, or as many as its length asks for; no row has tokens of two."""
    document, start, length = _pieces(lengths, sequence_tokens)
    return Plan(np.arange(len(document) + 1), document, start, length)


_STRATEGIES: dict[Strategy, Callable[[np.ndarray, int], Plan]] = {
    "best_fit": best_fit,
    "concat": concat,
    "pad": pad,
}


def _pieces(lengths: np.ndarray, sequence_tokens: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Document, start and length of each piece: T, T, ..., remainder; none for empty documents."""
    counts = -(-lengths // sequence_tokens)
    document = np.repeat(np.arange(len(lengths)), counts)
    first_piece = np.cumsum(counts) - counts
    start = (np.arange(len(document)) - first_piece[document]) * sequence_tokens
    return document, start, np.minimum(lengths[document] - start, sequence_tokens)


@njit(cache=True, nogil=True)
def _place(lengths: np.ndarray, sequence_tokens: int) -> np.ndarray:
    """Row of each piece, pieces of 1..T tokens given longest first.

    Open rows wait in a queue for each remaining capacity (linked lists over rows). Leaf c of the
    segment tree is c where queue c is not empty, else 0; an inner node is the larger of its two
    children, so the smallest sufficient capacity is found from the root in log T steps.
    """
    num_leaves = 1
    while num_leaves <= sequence_tokens:
        num_leaves *= 2
    tree = np.zeros(2 * num_leaves, np.int64)
    head = np.full(sequence_tokens + 1, -1, np.int64)
    tail = np.full(sequence_tokens + 1, -1, np.int64)
    following = np.full(len(lengths), -1, np.int64)
    rows = np.empty(len(lengths), np.int64)
    num_rows = 0
    for piece in range(len(lengths)):
        length = lengths[piece]
        capacity = sequence_tokens
        if tree[1] >= length:
            node = 1
            while node < num_leaves:
                node = 2 * node if tree[2 * node] >= length else 2 * node + 1
            capacity = node - num_leaves
            row = head[capacity]
            head[capacity] = following[row]
            if head[capacity] < 0:
                _set_leaf(tree, num_leaves, capacity, 0)
        else:
            row = num_rows
            num_rows += 1
        rows[piece] = row
        left = capacity - length
        if left > 0:
            following[row] = -1
            if head[left] < 0:
                head[left] = row
                _set_leaf(tree, num_leaves, left, left)
            else:
                following[tail[left]] = row
            tail[left] = row
    return rows


@njit(cache=True, nogil=True)
def _set_leaf(tree: np.ndarray, num_leaves: int, leaf: int, value: int) -> None:
    node = num_leaves + leaf
    tree[node] = value
    while node > 1:
        node //= 2
        tree[node] = max(tree[2 * node], tree[2 * node + 1])
