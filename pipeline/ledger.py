"""The ledger: every row that was read is kept, dropped or quarantined, and the sums must meet.

Built from the work items' own records, because a runner that retries or skips distorts its own
counters. Documents: read = quarantined + dropped by each rule + removed as duplicates + packed.

Each item balances before its record is written: `refine` rows, `tokenise` documents, `pack` tokens.
Each source balances before anything is packed. `prepare verify` adds both up again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from pipeline.errors import LedgerError, QuarantineError
from pipeline.records import Record
from pipeline.strata import MISSING

NUM_FILES_NAMED = 5


@dataclass(slots=True)
class SourceLedger:
    """What became of the rows of one source."""

    num_read: int = 0
    num_read_bytes: int = 0
    num_kept: int = 0
    num_kept_bytes: int = 0
    num_undated: int = 0  # documents, kept or dropped, without a date in their `date_field`
    dropped: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    quarantined_files: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)  # records that are no rows
    changes: Counter[str] = field(default_factory=Counter)
    pii: Counter[str] = field(default_factory=Counter)  # by kind and mode: email:pseudonym
    removed: Counter[str] = field(default_factory=Counter)
    num_packed: int = 0
    num_packed_bytes: int = 0
    strata: Counter[str] = field(default_factory=Counter)  # of what is packed; empty: not parted
    num_erased: int = 0  # rows of which nothing is left but a count; all above count them, too
    num_tokens: int = 0
    num_tokenizer_fallbacks: int = 0

    def add_refined(self, record: Record) -> None:
        """Add the counts of one item of `refine`."""
        counts = record["counts"]
        self.num_read += counts["num_read"]
        self.num_read_bytes += counts["num_read_bytes"]
        self.num_kept += counts["num_kept"]
        self.num_kept_bytes += counts["num_kept_bytes"]
        self.num_undated += counts["num_undated"]
        for name in ("dropped", "quarantined", "quarantined_files", "skipped", "changes", "pii"):
            getattr(self, name).update(counts[name])

    def add_tokenised(self, record: Record) -> None:
        """Add the counts of one item of `tokenise`."""
        counts = record["counts"]
        self.removed.update(counts["removed"])
        self.num_packed += counts["num_documents"]
        self.num_packed_bytes += counts["num_bytes"]
        self.num_tokens += counts["num_tokens"]
        self.num_tokenizer_fallbacks += counts["num_fallbacks"]

    def add_stratified(self, names: Sequence[str], record: Record) -> None:
        """Add the counts of one item of `stratify`; a stratum of none counts 0, `MISSING` aside."""
        for numbers in record["counts"]["num_documents"].values():
            for name, number in zip(names, numbers, strict=True):
                if number or name != MISSING:
                    self.strata[name] += number

    def imbalance(self) -> str | None:
        """One sentence on the first sum that does not meet, or None."""
        out = self.num_kept + self.dropped.total() + self.quarantined.total()
        if self.num_read != out:
            return (
                f"read {self.num_read:,} rows, but kept {self.num_kept:,} + dropped "
                f"{self.dropped.total():,} + quarantined {self.quarantined.total():,} = {out:,}"
            )
        out = self.num_packed + self.removed.total()
        if self.num_kept != out:
            return (
                f"kept {self.num_kept:,} documents, but packed {self.num_packed:,} + removed "
                f"{self.removed.total():,} = {out:,}"
            )
        if self.strata and self.strata.total() != self.num_packed:
            return (
                f"packed {self.num_packed:,} documents, but their strata hold "
                f"{self.strata.total():,}"
            )
        return None


def refine_imbalance(counts: Mapping[str, Any]) -> str | None:
    """One sentence where an item of `refine` lost a row or has one too many, or None."""
    kept, read = counts["num_kept"], counts["num_read"]
    dropped, quarantined = sum(counts["dropped"].values()), sum(counts["quarantined"].values())
    if read == kept + dropped + quarantined:
        return None
    return (
        f"read {read:,} rows, but kept {kept:,} + dropped {dropped:,} + quarantined "
        f"{quarantined:,} = {kept + dropped + quarantined:,}"
    )


def tokenise_imbalance(counts: Mapping[str, Any], num_kept: int) -> str | None:
    """One sentence where not every kept document of an item is removed or tokenised, or None."""
    packed, removed = counts["num_documents"], sum(counts["removed"].values())
    if num_kept == packed + removed:
        return None
    return (
        f"kept {num_kept:,} documents, but tokenised {packed:,} + removed {removed:,} = "
        f"{packed + removed:,}"
    )


def pack_imbalance(counts: Mapping[str, Any]) -> str | None:
    """One sentence where the rows of a part hold other than the tokens that went in, or None."""
    before, after = counts["num_tokens_read"], counts["num_tokens"]
    if before == after:
        return None
    return f"read {before:,} tokens, but its rows hold {after:,}"


def check_item(problem: str | None, where: str) -> None:
    """Raise `LedgerError` where an item does not balance; its record is not written then."""
    if problem:
        raise LedgerError(f"{where}: {problem}; this is a bug of headwater, please report it")


Ledger = dict[str, SourceLedger]


def refined_ledger(records: Iterable[tuple[str, Record]]) -> Ledger:
    """A ledger of (source, record) pairs of `refine`."""
    ledger: Ledger = {}
    for source, record in records:
        ledger.setdefault(source, SourceLedger()).add_refined(record)
    return ledger


def check_quarantine(ledger: Ledger, max_fraction: float) -> None:
    """Raise `QuarantineError` when more than `max_fraction` of all rows read was quarantined."""
    num_read = sum(entry.num_read for entry in ledger.values())
    num_bad = sum(entry.quarantined.total() for entry in ledger.values())
    if num_bad <= max_fraction * num_read:
        return
    files: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for entry in ledger.values():
        files.update(entry.quarantined_files)
        reasons.update(entry.quarantined)
    worst = ", ".join(f"{file} ({number:,})" for file, number in _most(files))
    why = ", ".join(f"{reason} {number:,}" for reason, number in _most(reasons))
    raise QuarantineError(
        f"{num_bad:,} of {num_read:,} rows ({num_bad / num_read:.2%}) were quarantined, the "
        f"manifest allows {max_fraction:.2%}: {why}; most in {worst}. `prepare quarantine` with "
        "the output shows them and, when the input is mended, tries them again (--retry); or raise "
        "limits.max_quarantined_fraction"
    )


def _most(counter: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:NUM_FILES_NAMED]


def check_balance(ledger: Ledger) -> None:
    """Raise `LedgerError` unless every sum of every source meets."""
    for source, entry in ledger.items():
        check_item(entry.imbalance(), f"source {source}")


def to_json(ledger: Ledger) -> dict[str, Any]:
    """The ledger as plain values."""
    return {source: _plain(entry) for source, entry in ledger.items()}


def from_json(values: Mapping[str, Mapping[str, Any]]) -> Ledger:
    """The inverse of `to_json`."""
    ledger: Ledger = {}
    for source, entry in values.items():
        ledger[source] = SourceLedger()
        for name, value in entry.items():
            setattr(ledger[source], name, Counter(value) if isinstance(value, dict) else value)
    return ledger


def _plain(entry: SourceLedger) -> dict[str, Any]:
    values = {field.name: getattr(entry, field.name) for field in fields(entry)}
    return {k: dict(sorted(v.items())) if isinstance(v, Counter) else v for k, v in values.items()}
