"""What a filter is, and the checks that hold it to that.

A filter has `measure` and `keep`, as `Filter` says, and may have:

- `load() -> None`: read models or lists, once per process, before the first batch. What it reads is
  kept outside the instance, so that instances stay frozen and pickle small.
- `edit(batch) -> RecordBatch`: change the texts; same rows, same columns. The edits of all filters
  come first, in order, so that every filter measures the text that is stored. What cannot be
  measured of that, such as how many words are gone, an edit may count: it may append int32 columns
  named `edited.<filter>.<count>`. They are stored with the document, and `measure` finds them in
  its batch. Where such a column is there already, an edit adds to it.
- `edits -> bool`: whether `edit`, where there is one, is to be called: a property says no where
  the parameters ask for no edit. Yes where nothing is said.
- `failures(signals) -> RecordBatch`: which rule drops each row (`FAILURES`), null where it is kept.
- `IS_EXPENSIVE`: whether `measure` is worth saving, True where it is not said. What is cheap is
  measured of every document, the rest only of those that the filters before it keep.
- `bounds() -> tuple[Bound, ...]`: the numeric bounds that it holds its signals to, each with the
  parameters that set it, so that `prepare calibrate` can propose other values.
- `files -> tuple[str, ...]`: paths of what `measure` reads besides the batch; where their contents
  change, a run measures again. They come from parameters of the type `filters.parameters.FilePath`,
  so that a manifest's are relative to its folder.
- `LIBRARIES`: distributions whose releases decide what it measures, as those of a model's engine.
- `needs_fit -> bool` and `fit(measured) -> Mapping`: thresholds that follow from the corpus, as
  `filters.chain` says. `FIT_PARAMETERS` names the parameters that `fit` reads,
  `FITTED_PARAMETERS` those that it finds: no language can have its own of the former, or have
  the latter fitted for itself.
- `SIGNALS`, `PAPERS`, `EXAMPLE`: what the documentation says of it: what it measures, who thought
  of it, and parameters that show what it is for.

A plain callable `RecordBatch -> BooleanArray` becomes a filter by `as_filter`. The functions here
call those methods and check what they return; a caller that uses them need not check again.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import pyarrow as pa
import pyarrow.compute as pc

from filters.errors import FilterError
from filters.statistics import TextStatistics

_EDIT_COUNT = re.compile(r"edited\.[^.]+\.[^.]+")

FAILURES = pa.schema(
    [
        pa.field("rule", pa.string()),  # the rule's name; null where the row is kept
        pa.field("value", pa.float64()),  # what was measured; null where it is no number
        pa.field("threshold", pa.float64()),  # what it was held against; null where there is none
    ]
)


class Signal(NamedTuple):
    """A column that `measure` returns."""

    name: str
    type: pa.DataType
    meaning: str  # what it counts, in which unit; when it is null


@runtime_checkable
class Filter(Protocol):
    """Keeps or drops documents, in two parts, so that a threshold can change without the texts."""

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics, /) -> pa.RecordBatch:
        """The signals of each row: any columns, one row per row of `batch`. Sees no threshold."""
        ...

    def keep(self, measured: pa.RecordBatch, /) -> pa.BooleanArray:
        """One non-null bool per row of signals. Sees no text."""
        ...


@runtime_checkable
class _Loads(Protocol):
    def load(self) -> None: ...


@runtime_checkable
class _Edits(Protocol):
    def edit(self, batch: pa.RecordBatch, /) -> pa.RecordBatch: ...


@runtime_checkable
class _Explains(Protocol):
    def failures(self, measured: pa.RecordBatch, /) -> pa.RecordBatch: ...


@runtime_checkable
class _Bounded(Protocol):
    def bounds(self) -> "tuple[Bound, ...]": ...


@dataclass(frozen=True, slots=True)
class CallableFilter:
    """A plain callable `RecordBatch -> BooleanArray` as a filter. Signal: `keep` bool."""

    function: Callable[[pa.RecordBatch], pa.BooleanArray]

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        return signals(keep=self.function(batch))

    def keep(self, measured: pa.RecordBatch) -> pa.BooleanArray:
        return measured["keep"]


def as_filter(plugin: object) -> Filter:
    """A filter as it is, a plain callable as a filter; raises FilterError for anything else."""
    if isinstance(plugin, Filter) and not isinstance(plugin, type):
        return plugin
    if callable(plugin) and not isinstance(plugin, type):
        return CallableFilter(plugin)
    raise FilterError(
        f"got {plugin!r}, want an instance with measure(batch, shared) and keep(signals), "
        "or a callable from a RecordBatch to a BooleanArray"
    )


def signals(**columns: pa.Array) -> pa.RecordBatch:
    """Arrow arrays of one length as a RecordBatch: what `measure` returns."""
    for name, column in columns.items():
        if not isinstance(column, pa.Array):
            raise FilterError(f"signal {name}: got {type(column).__name__}, want a pyarrow Array")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise FilterError(f"signals of unequal length: got {lengths}, want one value per document")
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def is_expensive(plugin: Filter) -> bool:
    """Whether to measure only what is still kept when the filter's turn comes."""
    return bool(getattr(plugin, "IS_EXPENSIVE", True))


def load(plugin: Filter) -> None:
    """Read what the filter needs, where it needs anything. Raises FilterLoadError."""
    if isinstance(plugin, _Loads):
        plugin.load()


def edits(plugin: Filter) -> bool:
    """Whether the filter, with the parameters it has, changes texts."""
    return isinstance(plugin, _Edits) and bool(getattr(plugin, "edits", True))


def edit(plugin: Filter, batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with the texts that the filter has edited, and what it has counted in doing so.

    That is, the columns that it was given, and after them none but int32 columns named
    `edited.<filter>.<count>`. The batch itself where the filter edits none.
    """
    if not (isinstance(plugin, _Edits) and edits(plugin)):
        return batch
    edited = plugin.edit(batch)
    if not isinstance(edited, pa.RecordBatch) or not _extends(edited.schema, batch.schema):
        raise FilterError(
            f"{_name(plugin)}.edit: want a RecordBatch with the columns it was given, and after "
            "them none but int32 columns edited.<filter>.<count>"
        )
    _check_rows(plugin, "edit", edited.num_rows, batch.num_rows)
    return edited


def apply(
    plugin: Filter, batch: pa.RecordBatch, shared: TextStatistics | None = None
) -> tuple[pa.RecordBatch, pa.BooleanArray]:
    """The signals of the batch, and which rows to keep: one non-null bool for each.

    `shared` holds the statistics of the batch's texts; without it they are those of column `text`.
    Raises FilterError, which names the filter, where it breaks the contract: a row with a null in
    the mask would be lost, neither kept nor dropped.
    """
    shared = TextStatistics(_texts(batch)) if shared is None else shared
    measured = checked_measure(plugin, batch, shared)
    return measured, checked_keep(plugin, measured)


def checked_measure(
    plugin: Filter, batch: pa.RecordBatch, shared: TextStatistics
) -> pa.RecordBatch:
    """The filter's signals of the batch, checked as `apply` does; decides nothing."""
    measured = plugin.measure(batch, shared)
    if not isinstance(measured, pa.RecordBatch):
        raise FilterError(
            f"{_name(plugin)}.measure: got {type(measured).__name__}, want a RecordBatch of signals"
        )
    _check_rows(plugin, "measure", measured.num_rows, batch.num_rows)
    return measured


def checked_keep(plugin: Filter, measured: pa.RecordBatch) -> pa.BooleanArray:
    """The filter's decision on signals, checked as `apply` does; needs no text."""
    mask = plugin.keep(measured)
    if not isinstance(mask, pa.BooleanArray):
        got = mask.type if isinstance(mask, pa.Array | pa.ChunkedArray) else type(mask).__name__
        raise FilterError(f"{_name(plugin)}.keep: got {got}, want a pyarrow BooleanArray")
    _check_rows(plugin, "keep", len(mask), measured.num_rows)
    if mask.null_count:
        raise FilterError(
            f"{_name(plugin)}.keep: got {mask.null_count} nulls in {len(mask)} rows, want true or "
            "false for each; say what a null signal means, as with pyarrow.compute.fill_null"
        )
    return mask


def first_failures(plugin: Filter, name: str, measured: pa.RecordBatch) -> pa.RecordBatch:
    """Why each row is dropped, as `FAILURES`: rule "<name>.<rule>", null where it is kept.

    A filter that does not explain itself has the rule "<name>", without value and threshold.
    """
    dropped = pc.invert(checked_keep(plugin, measured))
    if not isinstance(plugin, _Explains):
        rule = pc.if_else(dropped, name, pa.scalar(None, pa.string()))
        none = pa.nulls(len(dropped), pa.float64())
        return pa.RecordBatch.from_arrays([rule, none, none], schema=FAILURES)
    failed = plugin.failures(measured)
    if not isinstance(failed, pa.RecordBatch) or failed.schema != FAILURES:
        raise FilterError(f"{_name(plugin)}.failures: want a RecordBatch of {FAILURES.names}")
    _check_rows(plugin, "failures", failed.num_rows, measured.num_rows)
    if not pc.is_valid(failed["rule"]).equals(dropped):
        raise FilterError(f"{_name(plugin)}.failures: want a rule where keep is false, there alone")
    rule = pc.binary_join_element_wise(name, failed["rule"], ".")
    return failed.set_column(0, FAILURES.field("rule"), rule)


@dataclass(frozen=True, slots=True)
class Bound:
    """A numeric signal must be in minimum..maximum, inclusive; None is no bound on that side.

    The names are those that manifests give the parameters that set the sides; None where no single
    number does.
    """

    signal: str
    minimum: float | None = None
    maximum: float | None = None
    minimum_name: str | None = None
    maximum_name: str | None = None


def within(measured: pa.RecordBatch, bounds: Iterable[Bound]) -> pa.BooleanArray:
    """Which rows are inside all bounds. A null or a NaN is outside, unless nothing bounds it."""
    mask = pa.repeat(True, measured.num_rows)
    for bound in bounds:
        for _, inside in _sides(measured, bound):
            mask = pc.and_(mask, inside)
    return mask


def first_failure(measured: pa.RecordBatch, bounds: Iterable[Bound]) -> pa.RecordBatch:
    """The first bound that each row violates, as `FAILURES`: the rule is the signal's name."""
    num_rows = measured.num_rows
    rule, value, threshold = (pa.nulls(num_rows, field.type) for field in FAILURES)
    for bound in bounds:
        for limit, inside in _sides(measured, bound):
            here = pc.and_(pc.is_null(rule), pc.invert(inside))
            rule = pc.if_else(here, bound.signal, rule)
            value = pc.if_else(here, measured[bound.signal].cast(pa.float64()), value)
            threshold = pc.if_else(here, float(limit), threshold)
    return pa.RecordBatch.from_arrays([rule, value, threshold], schema=FAILURES)


def bounds_of(plugin: Filter) -> tuple[Bound, ...]:
    """The numeric bounds that a filter says it has; none of one that does not say."""
    return tuple(plugin.bounds()) if isinstance(plugin, _Bounded) else ()


def _sides(measured: pa.RecordBatch, bound: Bound) -> list[tuple[float, pa.BooleanArray]]:
    """Each limit of the bound, and which rows are on its right side."""
    values = measured[bound.signal]
    compared = (
        (bound.minimum, pc.greater_equal),
        (bound.maximum, pc.less_equal),
    )
    return [
        (limit, pc.fill_null(compare(values, limit), False))
        for limit, compare in compared
        if limit is not None
    ]


def _texts(batch: pa.RecordBatch) -> pa.Array:
    if "text" not in batch.schema.names:
        raise FilterError(f"the batch has columns {batch.schema.names}, want one named text")
    return batch["text"]


def _extends(edited: pa.Schema, given: pa.Schema) -> bool:
    """Whether the schema is the given one, with counts of edits after it."""
    fields = list(edited)
    appended = fields[len(given) :]
    return (
        fields[: len(given)] == list(given)
        and all(_EDIT_COUNT.fullmatch(field.name) for field in appended)
        and all(field.type == pa.int32() for field in appended)
        and len({field.name for field in fields}) == len(fields)
    )


def _check_rows(plugin: Filter, method: str, num_got: int, num_wanted: int) -> None:
    if num_got != num_wanted:
        raise FilterError(
            f"{_name(plugin)}.{method}: got {num_got} rows for {num_wanted}, want one for each"
        )


def _name(plugin: Filter) -> str:
    if isinstance(plugin, CallableFilter):
        return getattr(plugin.function, "__qualname__", repr(plugin.function))
    return type(plugin).__name__
