"""The ledger balances or the run fails, and too much quarantine fails it with the files' names."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import LedgerError, QuarantineError
from pipeline.ledger import (
    SourceLedger,
    check_balance,
    check_item,
    check_quarantine,
    from_json,
    pack_imbalance,
    refine_imbalance,
    refined_ledger,
    to_json,
    tokenise_imbalance,
)

COUNTS = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(1, 9))


def record(
    num_kept: int, dropped: dict[str, int], quarantined: dict[str, int]
) -> dict[str, object]:
    num_read = num_kept + sum(dropped.values()) + sum(quarantined.values())
    return {
        "counts": {
            "num_read": num_read,
            "num_read_bytes": 10 * num_read,
            "num_kept": num_kept,
            "num_kept_bytes": 9 * num_kept,
            "num_undated": num_kept // 2,
            "dropped": dropped,
            "quarantined": quarantined,
            "quarantined_files": {f"{name}.jsonl": n for name, n in quarantined.items()},
            "changes": {"pii.num_pii_email": 1},
            "pii": {"email:pseudonym": 1},
            "skipped": {},
        }
    }


@given(st.lists(st.tuples(st.sampled_from(["x", "y"]), st.integers(0, 50), COUNTS, COUNTS)))
def test_records_add_up_and_survive_json(items: list) -> None:
    ledger = refined_ledger((source, record(*counts)) for source, *counts in items)
    for source, entry in ledger.items():
        entry.num_packed = entry.num_kept
        assert entry.num_kept == sum(kept for name, kept, *_ in items if name == source)
    check_balance(ledger)
    assert from_json(to_json(ledger)) == ledger


@pytest.mark.parametrize("name", ["num_read", "num_kept", "num_packed"])
def test_a_single_row_too_many_is_an_error(name: str) -> None:
    entry = SourceLedger(num_read=5, num_kept=3, num_packed=3)
    entry.dropped["length"] = 2
    check_balance({"s": entry})
    setattr(entry, name, getattr(entry, name) + 1)
    with pytest.raises(LedgerError, match=r"source s: (read|kept)"):
        check_balance({"s": entry})


def test_quarantine_over_the_limit_names_reasons_and_files() -> None:
    ledger = refined_ledger([("s", record(96, {}, {"a": 1, "b": 3}))])
    check_quarantine(ledger, 0.04)
    with pytest.raises(
        QuarantineError, match=r"4 of 100 rows \(4\.00%\).*b 3, a 1.*b\.jsonl \(3\)"
    ):
        check_quarantine(ledger, 0.039)


@pytest.mark.parametrize("name", ["num_read", "num_kept", "dropped", "quarantined"])
def test_an_item_that_lost_a_row_or_has_one_too_many_does_not_balance(name: str) -> None:
    counts: Any = record(3, {"length": 2}, {"not_json": 1})["counts"]
    assert refine_imbalance(counts) is None
    if isinstance(counts[name], int):
        counts[name] -= 1
    else:
        counts[name]["one_more"] = 1
    problem = refine_imbalance(counts)
    assert problem is not None
    with pytest.raises(LedgerError, match=r"a\.jsonl: read \d rows, but kept \d .* = \d; this is"):
        check_item(problem, "a.jsonl")


def test_documents_of_an_item_are_tokenised_or_removed() -> None:
    counts = {"num_documents": 5, "removed": {"near_duplicate": 2}}
    assert tokenise_imbalance(counts, 7) is None
    assert "kept 8 documents, but tokenised 5 + removed 2 = 7" in str(tokenise_imbalance(counts, 8))


def test_a_part_holds_the_tokens_that_it_was_made_of() -> None:
    assert pack_imbalance({"num_tokens": 4, "num_tokens_read": 4}) is None
    assert pack_imbalance({"num_tokens": 4, "num_tokens_read": 5}) is not None
