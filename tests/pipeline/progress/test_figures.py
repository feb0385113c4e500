"""Sums over records."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.progress.figures import Figures, figures_of, total

COUNTS = st.integers(0, 10**12)
BY_REASON = st.dictionaries(st.text(max_size=5), COUNTS, max_size=4)
REFINED = st.fixed_dictionaries(
    {
        "num_read": COUNTS,
        "num_read_bytes": COUNTS,
        "num_kept": COUNTS,
        "dropped": BY_REASON,
        "quarantined": BY_REASON,
        "pii_samples": st.just({"email": [{"context": "a <[EMAIL]>"}]}),
    }
)


@given(st.lists(REFINED, max_size=5))
def test_sums_are_those_of_the_records(counts: list[dict[str, Any]]) -> None:
    summed = total(figures_of({"counts": one, "seconds": 2.0}) for one in counts)
    assert summed.num_records == len(counts)
    assert summed.num_documents == sum(one["num_read"] for one in counts)
    assert summed.num_bytes == sum(one["num_read_bytes"] for one in counts)
    assert summed.num_kept == sum(one["num_kept"] for one in counts)
    for name in ("dropped", "quarantined"):
        by_reason = sum((Counter(one[name]) for one in counts), Counter[str]())
        assert getattr(summed, f"num_{name}") == by_reason.total()
    assert summed.seconds == 2.0 * len(counts)


def test_a_stage_without_documents_counts_none() -> None:
    counts = {"partition": 3, "num_edges_by_file": {"0": 4}, "num_documents": {"train": [1, 2]}}
    assert figures_of({"counts": counts}) == Figures(num_records=1)


def test_tokenised_documents_are_counted_with_their_tokens() -> None:
    counts = {"num_documents": 3, "num_bytes": 40, "num_tokens": 9, "removed": {"exact": 2}}
    figures = figures_of({"counts": counts, "seconds": 0.5})
    assert (figures.num_documents, figures.num_bytes, figures.num_tokens) == (3, 40, 9)
    assert figures.num_removed == 2
