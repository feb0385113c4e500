import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dedup.ranks import policy_rank

INT31 = st.integers(-(2**31) + 1, 2**31 - 1)
DOCUMENT = st.tuples(
    INT31 | st.integers(-1, 1),
    st.integers(0, 2**40 - 2) | st.integers(0, 2),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
)
POLICIES = [
    ("priority", "longest", "id"),
    ("longest", "priority", "id"),
    ("longest",),
    ("priority",),
    ("id",),
    (),
]


def ranks_of(documents, policy):
    columns = np.array(documents, dtype=object).reshape(-1, 4)
    ranks = policy_rank(
        columns[:, 0].astype(np.int64),
        columns[:, 1].astype(np.int64),
        columns[:, 2:].astype(np.uint64),
        policy,
    )
    return list(zip(ranks.high.tolist(), ranks.low.tolist(), strict=True))


@given(st.lists(DOCUMENT, max_size=12), st.sampled_from(POLICIES))
def test_ranks_order_documents_as_the_policy_says(documents, policy):
    num_id_bits = 128 - 32 * ("priority" in policy) - 40 * ("longest" in policy)

    def place(document):
        priority, length, high, low = document
        order = {"priority": -priority, "longest": -length}
        key = (high << 64 | low) >> (128 - num_id_bits)
        return [order[name] for name in policy if name != "id"] + [key]

    ranks = ranks_of(documents, policy)
    for one, rank in zip(documents, ranks, strict=True):
        for two, other in zip(documents, ranks, strict=True):
            assert (rank < other) == (place(one) < place(two))


def test_the_bits_of_the_default_policy_are_as_documented():
    rank = ranks_of([(2**31 - 1, 2**40 - 1, 0xFEDC_BA98_7654_3210, 5)], POLICIES[0])
    assert rank == [(0, 0x00FE_DCBA_9876_5432)]
    rank = ranks_of([(0, 0, 0, 0)], POLICIES[0])
    assert rank == [(0x7FFF_FFFF_FFFF_FFFF, 0xFF00_0000_0000_0000)]


def test_lengths_beyond_the_field_are_equal():
    rank = ranks_of([(0, 2**40 - 1, 0, 0), (0, 2**50, 0, 0)], POLICIES[0])
    assert rank[0] == rank[1]


def test_a_priority_out_of_range_is_refused():
    with pytest.raises(ValueError, match="want at most 2147483647"):
        ranks_of([(2**31, 1, 0, 0)], POLICIES[0])
