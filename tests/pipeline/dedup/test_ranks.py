import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dedup.policy import MAX_PRIORITY, SignalRule, rule_bits, rule_name
from pipeline.dedup.ranks import policy_rank

LOW = SignalRule(signal="perplexity.bits_per_byte", prefer="low")
HIGH = SignalRule(signal="quality.score", prefer="high")
NAN = float("nan")
FLOATS = (
    st.floats(width=32, allow_nan=False) | st.sampled_from([0.0, -0.0, 1.0, -1.0]) | st.just(NAN)
)
DOCUMENT = st.fixed_dictionaries(
    {
        "priority": st.integers(-MAX_PRIORITY, MAX_PRIORITY) | st.integers(-1, 1),
        "longest": st.integers(0, 2**36 - 2) | st.integers(0, 2),
        "newest": st.integers(-62_135_596_800, 6_500_000_000) | st.integers(0, 2) | st.just(NAN),
        LOW.signal: FLOATS,
        HIGH.signal: FLOATS,
        "high": st.integers(0, 2**64 - 1),
        "low": st.integers(0, 2**64 - 1),
    }
)
POLICIES = [
    ("priority", "longest", "id"),
    ("longest", "priority", "id"),
    ("longest",),
    ("priority",),
    ("id",),
    (),
    ("priority", "newest", "longest", LOW, "id"),
    (HIGH, LOW, "newest", "priority"),
    ("newest", HIGH),
    (LOW, "id"),
]


def ranks_of(documents, policy):
    keys = np.array([(d["high"], d["low"]) for d in documents], np.uint64).reshape(-1, 2)
    values = {
        name: np.array([d[name] for d in documents], np.int64 if name in INTEGERS else np.float64)
        for name in map(rule_name, policy)
        if name != "id"
    }
    ranks = policy_rank(policy, keys, values)
    return list(zip(ranks.high.tolist(), ranks.low.tolist(), strict=True))


INTEGERS = ("priority", "longest")
ZERO = {"priority": 0, "longest": 0, "newest": NAN, LOW.signal: NAN, HIGH.signal: NAN}


def document(key=(0, 0), **values):
    return ZERO | {"high": key[0], "low": key[1]} | values


def place(document, policy):
    """A document in the policy's order, in Python's own terms; smaller is better."""
    found = []
    for rule in policy:
        value = document.get(rule_name(rule))
        if rule == "id":
            continue
        # Without a value a document is behind all others.
        is_missing = isinstance(value, float) and np.isnan(value)
        ascending = rule == LOW
        found.append((is_missing, 0.0 if is_missing else value if ascending else -value))
    num_id_bits = 128 - sum(map(rule_bits, policy))
    key = (document["high"] << 64 | document["low"]) >> (128 - num_id_bits)
    return [*found, key]


@given(st.lists(DOCUMENT, max_size=10), st.sampled_from(POLICIES))
def test_ranks_order_documents_as_the_policy_says(documents, policy):
    ranks = ranks_of(documents, policy)
    places = [place(document, policy) for document in documents]
    for one, rank in zip(places, ranks, strict=True):
        for two, other in zip(places, ranks, strict=True):
            assert (rank < other) == (one < two)


def test_the_bits_of_the_default_policy_are_as_documented():
    policy = POLICIES[0]
    best = document((0xFEDC_BA98_7654_3210, 5 << 52), priority=2**15 - 1, longest=2**36 - 1)
    assert ranks_of([best], policy) == [(0xFED, 0xCBA9_8765_4321_0005)]
    assert ranks_of([document()], policy) == [(0x7FFF_FFFF_FFFF_F000, 0)]


def test_the_bits_of_a_signal_are_those_of_its_float32():
    (high, _) = ranks_of([document(**{LOW.signal: 3.25})], (LOW,))[0]
    (bits,) = struct.unpack(">I", struct.pack(">f", 3.25))
    assert high >> 32 == bits | 1 << 31


def test_what_does_not_fit_a_field_is_equal_to_its_end():
    def pair(name, one, two, policy):
        return ranks_of([document(**{name: one}), document(**{name: two})], policy)

    same = [
        pair("longest", 2**36 - 1, 2**50, ("longest",)),
        pair("newest", 1e12, 1e15, ("newest",)),
        pair("newest", -62_135_596_800.0, -1e15, ("newest",)),
        pair(HIGH.signal, 1e300, float("inf"), (HIGH,)),
        pair(HIGH.signal, 0.0, -0.0, (HIGH,)),
    ]
    for one, two in same:
        assert one == two


def test_infinities_are_numbers_and_better_than_none():
    values = [float("inf"), float("-inf"), NAN]
    low = ranks_of([document(**{LOW.signal: v}) for v in values], (LOW,))
    high = ranks_of([document(**{HIGH.signal: v}) for v in values], (HIGH,))
    assert low[1] < low[0] < low[2]
    assert high[0] < high[1] < high[2]


def test_the_oldest_date_is_better_than_none():
    one, two = ranks_of([document(newest=-1e15), document()], ("newest",))
    assert one < two


def test_a_priority_out_of_range_is_refused():
    with pytest.raises(ValueError, match="want at most 32767"):
        ranks_of([document(priority=2**15)], POLICIES[0])
