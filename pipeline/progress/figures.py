"""Sums over the records of finished work items: what is shown while a run goes on."""

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from typing import Any, Self


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What the finished items of one stage came to; a count that a stage does not keep is 0."""

    num_records: int = 0
    num_documents: int = 0  # read by `refine`, written by `tokenise` and `pack`
    num_bytes: int = 0  # of their texts
    num_kept: int = 0
    num_dropped: int = 0
    num_quarantined: int = 0
    num_removed: int = 0  # as duplicates, or because validation must not see them
    num_tokens: int = 0
    seconds: float = 0.0  # of work, in all processes together

    def __add__(self, other: Self) -> Self:
        pairs = zip(_values(self), _values(other), strict=True)
        return type(self)(**{name: mine + its for (name, mine), (_, its) in pairs})

    @property
    def is_refined(self) -> bool:
        """Whether these are of rows that were kept, dropped or quarantined."""
        return bool(self.num_kept or self.num_dropped or self.num_quarantined)


def figures_of(record: Mapping[str, Any]) -> Figures:
    """Those of one record, of any stage."""
    counts = record["counts"]
    return Figures(
        num_records=1,
        num_documents=_number(counts, "num_read") or _number(counts, "num_documents"),
        num_bytes=_number(counts, "num_read_bytes") or _number(counts, "num_bytes"),
        num_kept=_number(counts, "num_kept"),
        num_dropped=_number(counts, "dropped"),
        num_quarantined=_number(counts, "quarantined"),
        num_removed=_number(counts, "removed"),
        num_tokens=_number(counts, "num_tokens"),
        seconds=float(record.get("seconds", 0.0)),
    )


def total(figures: Iterable[Figures]) -> Figures:
    """The sum of some."""
    return sum(figures, start=Figures())


def _number(counts: Mapping[str, Any], name: str) -> int:
    """A count, or the sum of one that is kept by rule or by reason."""
    value = counts.get(name, 0)
    numbers = value.values() if isinstance(value, Mapping) else [value]
    return sum(number for number in numbers if isinstance(number, int))


def _values(figures: Figures) -> list[tuple[str, Any]]:
    return list(zip(Figures.__dataclass_fields__, astuple(figures), strict=True))
