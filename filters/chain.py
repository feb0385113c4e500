"""Filters in order, as one: which documents stay, and by which rule the others go.

The first filter that drops a document decides. What is cheap is measured of every document, what is
expensive only of those that the filters before it keep. So the thresholds of a chain can change
later without the texts being measured again, but for what a document then reaches for the first
time: `decide` takes what was measured before as `known`.

A filter may need a fit: parameters that follow from what it measures of the whole corpus, such as a
percentile. It then has

- `needs_fit -> bool`: whether these parameters are missing. Until they are there, the chain
  measures it, but it keeps everything, nothing after it drops, and nothing expensive after it is
  measured.
- `fit(measured) -> Mapping[str, Any]`: the missing thresholds by the names that manifests give
  them, from the signals of all documents that the filters before it keep.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.errors import FilterError
from filters.protocol import (
    FAILURES,
    CallableFilter,
    Filter,
    as_filter,
    checked_measure,
    edit,
    first_failures,
    is_expensive,
    load,
)
from filters.registry import GROUP, create
from filters.statistics import TextStatistics

Mask = npt.NDArray[np.bool_]


class Decision(NamedTuple):
    """What a chain found of each row of a batch.

    `signals`: a column `<filter>.<signal>` for everything that is measured; those of an expensive
    filter are null where a document did not reach it. `failures`: schema `FAILURES`, the rule null
    where the document is kept.
    """

    signals: pa.RecordBatch
    failures: pa.RecordBatch

    @property
    def kept(self) -> pa.BooleanArray:
        """One non-null bool per row."""
        return pc.is_null(self.failures["rule"])


@dataclass(frozen=True, slots=True)
class Chain:
    """Filters in order, by names that are unique: a second `length` is `length#2`."""

    filters: tuple[tuple[str, Filter], ...] = ()

    @classmethod
    def of(
        cls, *filters: Mapping[str, Any] | Filter | Callable[..., Any], base: Path | None = None
    ) -> Self:
        """A chain of filters, of plain callables, and of what a manifest says: `{use: NAME, ...}`.

        The manifest's paths are relative to `base`, without it to the current folder.
        Raises as `filters.registry.create` does.
        """
        named: list[tuple[str, Filter]] = []
        for each in filters:
            name, rule = create(each, base) if isinstance(each, Mapping) else _named(each)
            num_before = sum(other.partition("#")[0] == name for other, _ in named)
            named.append((f"{name}#{num_before + 1}" if num_before else name, rule))
        return cls(tuple(named))

    @property
    def first_unfitted(self) -> int | None:
        """The place of the first filter that needs a fit, or None."""
        return next((n for n, (_, rule) in enumerate(self.filters) if needs_fit(rule)), None)

    def load(self) -> None:
        """Read all models and lists. Raises FilterLoadError."""
        for _, rule in self.filters:
            load(rule)

    def edit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch after the edits of all filters, in order: the texts that are stored."""
        for _, rule in self.filters:
            batch = edit(rule, batch)
        return batch

    def decide(self, batch: pa.RecordBatch, known: pa.RecordBatch | None = None) -> Decision:
        """What is measured of edited texts, and which rule drops each row, if any.

        Filters see the columns of `batch`, of which `text` is one, and the signals of the filters
        before them. `known` holds signals of the same rows from an earlier decision, by other
        thresholds or before a fit: they are not measured again. An expensive filter without a value
        for a row that reaches it measures that row; the values of rows that no longer reach it are
        left out, so that the decision is the one that would be made without `known`.

        Raises FilterError where a filter breaks its contract.
        """
        deciding = _Deciding(batch, known)
        for name, rule in self.filters:
            deciding.ask(name, rule)
        failures = pa.RecordBatch.from_arrays(deciding.failures, schema=FAILURES)
        if deciding.signals:
            return Decision(pa.RecordBatch.from_pydict(deciding.signals), failures)
        return Decision(batch.select([]), failures)


def needs_fit(rule: Filter) -> bool:
    """Whether the filter's thresholds are to be found from what it measures."""
    return bool(getattr(rule, "needs_fit", False))


@dataclass(slots=True)
class _Deciding:
    """One batch on its way through a chain."""

    seen: pa.RecordBatch  # with the signals of the filters so far
    known: pa.RecordBatch | None
    shared: TextStatistics = field(init=False)
    kept: Mask = field(init=False)
    failures: list[pa.Array] = field(init=False)
    signals: dict[str, pa.Array] = field(default_factory=dict)
    decides: bool = True  # no filter so far needs a fit
    is_stale: bool = False  # an expensive signal differs from the known one, a row has it or not

    def __post_init__(self) -> None:
        num_rows = self.seen.num_rows
        self.shared = TextStatistics(self.seen["text"])
        self.kept = np.ones(num_rows, np.bool_)
        self.failures = [pa.nulls(num_rows, column.type) for column in FAILURES]

    def ask(self, name: str, rule: Filter) -> None:
        """Measure, and drop what the filter drops."""
        measured = self._measured(name, rule)
        for signal, column in zip(measured.schema.names, measured.columns, strict=True):
            self.signals[f"{name}.{signal}"] = column
            self.seen = self.seen.append_column(f"{name}.{signal}", column)
        self.decides = self.decides and not needs_fit(rule)
        if self.decides:
            self._drop(first_failures(rule, name, self._of_kept(measured)))

    def _measured(self, name: str, rule: Filter) -> pa.RecordBatch:
        known = self._known(name)
        if is_expensive(rule):
            return self._measured_where_needed(rule, known)
        # A cheap filter may read expensive signals, which a row may have gained or lost.
        if known is None or self.is_stale:
            return checked_measure(rule, self.seen, self.shared)
        return known

    def _measured_where_needed(self, rule: Filter, known: pa.RecordBatch | None) -> pa.RecordBatch:
        reached = self.kept & self.decides
        has = np.zeros_like(reached) if known is None else _any_valid(known)
        missing = reached & ~has
        fresh = self._measured_of(rule, missing, known)
        known = fresh[:0] if known is None else known
        self.is_stale |= self.known is not None and bool((has != reached).any())
        places = np.full(len(reached), -1)
        places[reached & has] = np.flatnonzero(reached & has)
        places[missing] = known.num_rows + np.arange(fresh.num_rows)
        return _taken(pa.concat_batches([known, fresh]), places)

    def _measured_of(
        self, rule: Filter, rows: Mask, known: pa.RecordBatch | None
    ) -> pa.RecordBatch:
        """The signals of some rows; of none without asking the filter, which may load a model."""
        if not rows.any():
            if known is not None:
                return known[:0]
            if declared := getattr(rule, "SIGNALS", ()):
                return _empty(declared)
        if rows.all():
            return checked_measure(rule, self.seen, self.shared)
        mask = pa.array(rows)
        return checked_measure(rule, self.seen.filter(mask), self.shared.filter(mask))

    def _drop(self, failed: pa.RecordBatch) -> None:
        """Add why rows are dropped, of those that are still kept."""
        if failed["rule"].null_count == failed.num_rows:
            return
        places = np.full(len(self.kept), -1)
        places[self.kept] = np.arange(failed.num_rows)
        columns = _taken(failed, places).columns
        self.failures = [
            pc.coalesce(before, now) for before, now in zip(self.failures, columns, strict=True)
        ]
        self.kept = pc.is_null(self.failures[0]).to_numpy(zero_copy_only=False)

    def _of_kept(self, measured: pa.RecordBatch) -> pa.RecordBatch:
        return measured if self.kept.all() else measured.filter(pa.array(self.kept))

    def _known(self, name: str) -> pa.RecordBatch | None:
        """The known signals of a filter by their own names, or None."""
        if self.known is None:
            return None
        prefix = f"{name}."
        found = [column for column in self.known.schema.names if column.startswith(prefix)]
        if not found:
            return None
        return self.known.select(found).rename_columns([n.removeprefix(prefix) for n in found])


def _any_valid(signals: pa.RecordBatch) -> Mask:
    """Rows with a value in any column."""
    valid = [pc.is_valid(column).to_numpy(zero_copy_only=False) for column in signals.columns]
    found: Mask = np.logical_or.reduce(valid)
    return found


def _taken(batch: pa.RecordBatch, places: npt.NDArray[np.int64]) -> pa.RecordBatch:
    """The rows at these places; a row of nulls where a place is -1."""
    return batch.take(pa.array(places, mask=places < 0))


def _empty(declared: Any) -> pa.RecordBatch:
    schema = pa.schema([(signal.name, signal.type) for signal in declared])
    return pa.RecordBatch.from_pylist([], schema=schema)


def _named(plugin: object) -> tuple[str, Filter]:
    """A filter and its name: of the entry point that registers its class, else of the class."""
    rule = as_filter(plugin)
    if isinstance(rule, CallableFilter):
        return getattr(rule.function, "__name__", type(rule.function).__name__), rule
    kind = type(rule)
    value = f"{kind.__module__}:{kind.__qualname__}"
    registered = [point.name for point in entry_points(group=GROUP) if point.value == value]
    if len(registered) > 1:
        raise FilterError(f"{value}: registered as {', '.join(sorted(registered))}, want one name")
    return (registered[0] if registered else kind.__name__), rule
