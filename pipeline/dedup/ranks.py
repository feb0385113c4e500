"""Who survives: one 128-bit number per document, smaller is better, from the survivor policy.

Bits from the most significant down, in the policy's order:

    priority   16 bits   2^15 - 1 - priority: the higher priority is better
    longest    36 bits   2^36 - 1 - length in bytes, lengths from 2^36 - 1 on being equal
    newest     36 bits   2^36 - 1 - seconds since the year 1, +1; all ones without a date
    a signal   32 bits   the float32 as an unsigned integer of the same order, or its complement
                         where high values are better; all ones without a number
    id         what is left, from the top of the document key (76 bits in the default policy)

`id` always ends the order. Ranks that are equal in all bits (odds of 2^-76 for a pair, and 2^-8
where the policy is as long as it may be and all its rules tie) are ordered by the document's
identity wherever ranks are compared.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.dedup.policy import (
    MAX_PRIORITY,
    RULE_BITS,
    SIGNAL_BITS,
    NamedRule,
    SignalRule,
    rule_bits,
    rule_name,
)

_LONGEST = (1 << RULE_BITS["longest"]) - 1
_NEWEST = (1 << RULE_BITS["newest"]) - 1
_YEAR_1_SECONDS = -62_135_596_800  # 0001-01-01T00:00:00Z; the field ends in the year 2178
_WORST_SIGNAL = np.uint32((1 << SIGNAL_BITS) - 1)
_SIGN = np.uint32(1 << 31)


class Ranks(NamedTuple):
    """A document's place in the policy's order: smaller (high, low) is better."""

    high: np.ndarray  # (n,) uint64
    low: np.ndarray  # (n,) uint64


def policy_rank(
    policy: Sequence[NamedRule | SignalRule],
    key_words: np.ndarray,
    values: Mapping[str, np.ndarray],
) -> Ranks:
    """Ranks of documents.

    `key_words` (n, 2) uint64, the key big-endian. `values` has an array (n,) for each rule of the
    policy but `id`: `priority` integers, `longest` non-negative integers, `newest` float64 seconds
    since 1970 in UTC, NaN without a date; a signal float64, NaN without a number. Raises
    ValueError for a priority out of range.
    """
    ranks, used_bits = Ranks(*np.zeros((2, len(key_words)), np.uint64)), 0
    for rule in policy:
        if rule != "id":
            used_bits += rule_bits(rule)
            _put(ranks, _shifted_words(_field(rule, values[rule_name(rule)]), used_bits))
    _put(ranks, _shifted_right(key_words[:, 0], key_words[:, 1], used_bits))
    return ranks


def _field(rule: NamedRule | SignalRule, values: np.ndarray) -> np.ndarray:
    """The bits of one rule, uint64 (n,), smaller is better."""
    if isinstance(rule, SignalRule):
        return _signal_field(values, rule.prefer == "high")
    return {"priority": _priority_field, "longest": _length_field, "newest": _date_field}[rule](
        values
    )


def _priority_field(priority: np.ndarray) -> np.ndarray:
    values = np.asarray(priority, np.int64)
    if len(values) and not -MAX_PRIORITY <= values.min() <= values.max() <= MAX_PRIORITY:
        raise ValueError(
            f"source priority: got {values.min()}..{values.max()}, want at most "
            f"{MAX_PRIORITY} either way; lower `priority` in the manifest"
        )
    return (MAX_PRIORITY - values).astype(np.uint64)


def _length_field(length: np.ndarray) -> np.ndarray:
    return (_LONGEST - np.minimum(np.asarray(length, np.int64), _LONGEST)).astype(np.uint64)


def _date_field(seconds: np.ndarray) -> np.ndarray:
    dated = np.floor(np.where(np.isnan(seconds), 0.0, seconds)) - _YEAR_1_SECONDS + 1
    place = np.where(np.isnan(seconds), 0.0, np.clip(dated, 1, _NEWEST))
    return (_NEWEST - place.astype(np.int64)).astype(np.uint64)


def _signal_field(values: np.ndarray, prefer_high: bool) -> np.ndarray:
    # float64 beyond float32 becomes an infinity, and -0.0 plus 0.0 is 0.0.
    with np.errstate(over="ignore"):
        floats = np.asarray(values, np.float64).astype(np.float32) + np.float32(0.0)
    bits = floats.view(np.uint32)
    ascending = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    # No number has all bits set, in either direction: those would be NaNs.
    found = np.where(np.isnan(floats), _WORST_SIGNAL, ~ascending if prefer_high else ascending)
    return found.astype(np.uint64)


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
