"""Who survives: one 128-bit number per document, smaller is better, from the survivor policy.

Bits from the most significant down, in the policy's order:

    priority   32 bits   2^31 - 1 - priority: the higher priority is better
    longest    40 bits   2^40 - 1 - length, lengths from 2^40 - 1 on being equal
    id         what is left, from the top of the document key (56 bits in the default policy)

`id` always ends the order. Ranks that are equal in all bits (odds of 2^-56 for a pair) are ordered
by the document's identity wherever ranks are compared.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.dedup.config import Policy

PRIORITY_BITS, LENGTH_BITS = 32, 40
_LONGEST = (1 << LENGTH_BITS) - 1
_HIGHEST_PRIORITY = (1 << (PRIORITY_BITS - 1)) - 1


class Ranks(NamedTuple):
    """A document's place in the policy's order: smaller (high, low) is better."""

    high: np.ndarray  # (n,) uint64
    low: np.ndarray  # (n,) uint64


def policy_rank(
    priority: np.ndarray, length: np.ndarray, key_words: np.ndarray, policy: Sequence[Policy]
) -> Ranks:
    """Ranks of documents.

    `priority` (n,) integers within int32, `length` (n,) non-negative integers of one unit,
    `key_words` (n, 2) uint64, the key big-endian. Raises ValueError for a priority out of range.
    """
    fields = {"priority": _priority_field, "longest": _length_field}
    columns = {"priority": priority, "longest": length}
    ranks, used_bits = Ranks(*np.zeros((2, len(key_words)), np.uint64)), 0
    for name in policy:
        if name != "id":
            value, num_bits = fields[name](columns[name])
            _put(ranks, _shifted_words(value, used_bits + num_bits))
            used_bits += num_bits
    _put(ranks, _shifted_right(key_words[:, 0], key_words[:, 1], used_bits))
    return ranks


def _priority_field(priority: np.ndarray) -> tuple[np.ndarray, int]:
    values = np.asarray(priority, np.int64)
    if len(values) and not -_HIGHEST_PRIORITY <= values.min() <= values.max() <= _HIGHEST_PRIORITY:
        raise ValueError(
            f"source priority: got {values.min()}..{values.max()}, want at most "
            f"{_HIGHEST_PRIORITY} either way; lower `priority` in the manifest"
        )
    return (_HIGHEST_PRIORITY - values).astype(np.uint64), PRIORITY_BITS


def _length_field(length: np.ndarray) -> tuple[np.ndarray, int]:
    return (_LONGEST - np.minimum(np.asarray(length, np.int64), _LONGEST)).astype(
        np.uint64
    ), LENGTH_BITS


def _shifted_words(value: np.ndarray, end_bit: int) -> Ranks:
    """`value` as a 128-bit number whose last bit is bit `end_bit`, counted from the top."""
    zero = np.zeros_like(value)
    if end_bit <= 64:
        return Ranks(value << np.uint64(64 - end_bit), zero)
    spill = end_bit - 64
    high = value >> np.uint64(spill) if spill < 64 else zero
    return Ranks(high, value << np.uint64(64 - spill))


def _shifted_right(high: np.ndarray, low: np.ndarray, num_bits: int) -> Ranks:
    """A 128-bit number shifted right by 0..127 bits; a shift by 64 is undefined on a word."""
    if num_bits == 0:
        return Ranks(high, low)
    if num_bits >= 64:
        return Ranks(np.zeros_like(high), high >> np.uint64(num_bits - 64))
    carried = high << np.uint64(64 - num_bits)
    return Ranks(high >> np.uint64(num_bits), carried | low >> np.uint64(num_bits))


def _put(ranks: Ranks, bits: Ranks) -> None:
    np.bitwise_or(ranks.high, bits.high, out=ranks.high)
    np.bitwise_or(ranks.low, bits.low, out=ranks.low)
