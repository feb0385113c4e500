"""The ledger balances or the run fails, and too much quarantine fails it with the files' names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import LedgerError, QuarantineError
from pipeline.ledger import (
    SourceLedger,
    check_balance,
    check_quarantine,
    from_json,
    refined_ledger,
    to_json,
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
