"""Filters outside of `prepare`: on Arrow tables, in datasets, in Ray Data, in a Beam pipeline.

    keep = keep_rows({"use": "gopher_quality"}, {"use": "length", "max_words": 10_000})
    keep(table)                                                     # a pa.Table, or a RecordBatch
    dataset.with_format("arrow").map(keep, batched=True)
    ray_dataset.map_batches(keep, batch_format="pyarrow")
    batches | beam.Map(keep)

Both callables here pickle, and load their models in the process where they are first called. The
rows are those that `prepare` keeps of the same texts; but `prepare` also drops empty texts, and
first cleans and anonymises.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from filters.chain import Chain, needs_fit
from filters.errors import FilterConfigError, FilterError
from filters.protocol import Filter, edits

TEXT = "text"  # the column that filters read
MAX_ROWS = 10_000  # of a table that are filtered at once; the answer does not depend on it

Rows: TypeAlias = "pa.Table | pa.RecordBatch | Mapping[str, Any]"


@dataclass(frozen=True, slots=True)
class KeepRows:
    """The rows that a chain of filters keeps; see `keep_rows`."""

    chain: Chain
    text: str = TEXT
    with_signals: bool = False

    def __call__(self, rows: Rows) -> Any:
        """The rows that are kept, in order, as what they came as."""
        if isinstance(rows, pa.RecordBatch):
            return self._kept(rows)
        if isinstance(rows, pa.Table):
            return pa.Table.from_batches([self._kept(batch) for batch in _batches(rows)])
        return self(pa.table(dict(rows))).to_pydict()

    def _kept(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        edited = self.chain.edit(_seen(batch, self.text, self.chain))
        decision = self.chain.decide(edited)
        place = batch.schema.get_field_index(self.text)
        field = batch.schema.field(place)
        stored = batch.set_column(place, field, _as_type(edited[TEXT], field.type))
        if self.with_signals:
            stored = _with_signals(stored, decision.signals)
        return _filtered(stored, decision.kept)


@dataclass(frozen=True, slots=True)
class Mask:
    """Which rows a chain of filters keeps; see `mask`."""

    chain: Chain
    text: str = TEXT

    def __call__(self, rows: Rows) -> Any:
        """A non-null bool for each row: a BooleanArray for Arrow, a list for a mapping."""
        if isinstance(rows, pa.RecordBatch):
            return self.chain.decide(_seen(rows, self.text, self.chain)).kept
        if isinstance(rows, pa.Table):
            return pa.concat_arrays([self(batch) for batch in _batches(rows)])
        return self(pa.table(dict(rows))).to_pylist()


def keep_rows(
    *filters: Mapping[str, Any] | Filter | Callable[..., Any],
    text: str = TEXT,
    with_signals: bool = False,
) -> KeepRows:
    """A callable from a Table or RecordBatch to the rows of it that all filters keep, in order.

    `filters` are what a manifest has, `{"use": NAME, **parameters}`, or filters, or callables
    `RecordBatch -> BooleanArray`. `text` is the column with the texts: string, large_string,
    string_view or a dictionary of one; the texts come back edited, if a filter edits.
    `with_signals` adds what was measured, as columns `<filter>.<signal>`; an expensive filter's are
    null where a document did not reach it, which no kept one is. A mapping of columns works, too,
    and gives a dict of lists.

    Raises FilterConfigError for a bad filter, and for one whose thresholds are still to be found
    from a corpus, FilterLoadError where a filter cannot be imported; when called, FilterError for
    a column that is missing or holds no text.
    """
    return KeepRows(_fitted(Chain.of(*filters)), text, with_signals)


def mask(*filters: Mapping[str, Any] | Filter | Callable[..., Any], text: str = TEXT) -> Mask:
    """As `keep_rows`, but a bool for each row, as `datasets.Dataset.filter(batched=True)` wants.

    Raises FilterConfigError also for a filter that edits texts: the edits would be lost.
    """
    chain = _fitted(Chain.of(*filters))
    for name, rule in chain.filters:
        if edits(rule):
            raise FilterConfigError(
                f"filter {name}: it edits texts, and a mask would lose the edits; use keep_rows"
            )
    return Mask(chain, text)


def _fitted(chain: Chain) -> Chain:
    for name, rule in chain.filters:
        if needs_fit(rule):
            raise FilterConfigError(
                f"filter {name}: its thresholds are still to be found from a corpus, which "
                "`prepare` does; want them given"
            )
    return chain


def _batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """At least one, so that an empty table has columns for its signals, too."""
    if table.num_rows == 0:
        yield pa.RecordBatch.from_arrays(
            [pa.array([], field.type) for field in table.schema], schema=table.schema
        )
    yield from table.to_batches(max_chunksize=MAX_ROWS)


def _seen(batch: pa.RecordBatch, name: str, chain: Chain) -> pa.RecordBatch:
    """What filters see of a batch: its texts in the column `text`, as a type that they read.

    Signals that the chain measures now are left out: they may be of other parameters.
    """
    if batch.schema.names.count(name) != 1:
        raise FilterError(
            f"got columns {batch.schema.names}, want one named {name} with texts; text=NAME says "
            "which it is"
        )
    texts = batch[name]
    if pa.types.is_dictionary(texts.type):
        texts = texts.dictionary_decode()
    if pa.types.is_null(texts.type):
        texts = texts.cast(pa.string())
    batch = _without_views(batch)
    texts = texts.cast(pa.large_string()) if pa.types.is_string_view(texts.type) else texts
    if name != TEXT and TEXT in batch.schema.names:
        batch = batch.drop_columns([TEXT])
    batch = batch.set_column(batch.schema.get_field_index(name), TEXT, texts)
    measured = tuple(f"{rule}." for rule, _ in chain.filters)
    return batch.drop_columns([each for each in batch.schema.names if each.startswith(measured)])


def _as_type(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    if texts.type == kind:
        return texts
    if pa.types.is_null(kind):
        return pa.nulls(len(texts))
    encoded = pc.dictionary_encode(texts) if pa.types.is_dictionary(kind) else texts
    return encoded.cast(kind)


def _filtered(batch: pa.RecordBatch, rows: pa.BooleanArray) -> pa.RecordBatch:
    return _without_views(batch).filter(rows).cast(batch.schema)


def _without_views(batch: pa.RecordBatch) -> pa.RecordBatch:
    """With large_string for string_view: pyarrow 25 cannot yet choose rows of views."""
    for place, field in enumerate(batch.schema):
        if pa.types.is_string_view(field.type):
            large = batch.column(place).cast(pa.large_string())
            batch = batch.set_column(place, field.with_type(large.type), large)
    return batch


def _with_signals(batch: pa.RecordBatch, signals: pa.RecordBatch) -> pa.RecordBatch:
    known = set(batch.schema.names)
    if taken := [name for name in signals.schema.names if name in known]:
        raise FilterError(f"got columns {taken}, which the signals would have; want them renamed")
    # What datasets and pandas say of the columns in the metadata would no longer be true.
    batch = batch.replace_schema_metadata(None)
    names = [*batch.schema.names, *signals.schema.names]
    return pa.RecordBatch.from_arrays([*batch.columns, *signals.columns], names=names)
