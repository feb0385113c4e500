"""Other parameters for documents of some languages: `per_language` of any filter.

    {use: gopher_quality, per_language: {de: {stop_words: [der, und], min_stop_words: 1}}}

A document is judged by the parameters of its language, and by the filter's own where its language
has none or is not known. The language is that of the column `language.language`, the signal of an
earlier filter `language`, or else of a column `language`. Of a filter that itself has a signal
`language`, such as `language`, `perplexity` and `code`, it is that signal.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters import protocol
from filters.errors import FilterConfigError, FilterError
from filters.parameters import manifest_names
from filters.protocol import FAILURES, Filter, Signal, checked_measure, is_expensive
from filters.statistics import TextStatistics

KEY = "per_language"
LANGUAGE = "language"  # the signal
COLUMNS = ("language.language", "language")  # of the batch


@dataclass(frozen=True, slots=True)
class Override:
    """The filter of one language."""

    language: str
    rule: Filter
    measures: bool  # has other parameters than thresholds, so that it measures something else


@dataclass(frozen=True, slots=True)
class PerLanguage:
    """A filter with other parameters for some languages.

    Signals: those of the filter, and `language` string, null where it is not known, so that a
    decision needs no text. A language of which only thresholds differ is measured with the rest.
    """

    default: Filter
    overrides: tuple[Override, ...]

    @property
    def SIGNALS(self) -> tuple[Signal, ...]:  # noqa: N802
        declared = tuple(getattr(self.default, "SIGNALS", ()))
        if not declared or measures_language(self.default):
            return declared
        return (*declared, Signal(LANGUAGE, pa.string(), "by which parameters are chosen"))

    @property
    def PAPERS(self) -> tuple[str, ...]:  # noqa: N802
        return tuple(getattr(self.default, "PAPERS", ()))

    @property
    def IS_EXPENSIVE(self) -> bool:  # noqa: N802
        return is_expensive(self.default)

    @property
    def files(self) -> tuple[str, ...]:
        """What the filters read besides the batch."""
        return tuple(
            dict.fromkeys(path for rule in self._rules() for path in getattr(rule, "files", ()))
        )

    @property
    def needs_fit(self) -> bool:
        return any(getattr(rule, "needs_fit", False) for rule in self._rules())

    def fit(self, measured: pa.RecordBatch) -> Mapping[str, Any]:
        """The thresholds that are missing, for all languages alike."""
        rule: Any = next(rule for rule in self._rules() if getattr(rule, "needs_fit", False))
        found: Mapping[str, Any] = rule.fit(measured)
        return found

    def load(self) -> None:
        for rule in self._rules():
            protocol.load(rule)

    @property
    def edits(self) -> bool:
        """Whether the filter itself does, and so for all languages alike."""
        return protocol.edits(self.default)

    def edit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The filter's own edit: the language is found in the texts that edits leave."""
        return protocol.edit(self.default, batch)

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        """Raises FilterError where the batch has no column with languages."""
        if measures_language(self.default):
            return self.default.measure(batch, shared)
        languages = _languages(batch, self.default)
        groups = list(self._groups(languages, lambda override: override.measures))
        if len(groups) > 1 and not is_expensive(self.default):
            # Of all rows, so that the statistics are there for the filters that follow, too.
            whole = checked_measure(self.default, batch, shared)
            pieces = [whole.filter(pa.array(groups[0][1]))]
            pieces += [_measured(rule, batch, shared, rows) for rule, rows in groups[1:]]
        else:
            pieces = [_measured(rule, batch, shared, rows) for rule, rows in groups]
        return _scattered(pieces, [rows for _, rows in groups]).append_column(LANGUAGE, languages)

    def keep(self, measured: pa.RecordBatch) -> pa.BooleanArray:
        return self._chosen(measured, protocol.checked_keep)

    def failures(self, measured: pa.RecordBatch) -> pa.RecordBatch:
        """Those of the filter of each row's language."""
        return self._chosen(measured, _failures)

    def _chosen(self, measured: pa.RecordBatch, decide: Callable[..., Any]) -> Any:
        """What the filter of each row's language says of the row."""
        groups = list(self._groups(measured[LANGUAGE].cast(pa.string()), lambda override: True))
        if not measures_language(self.default):
            measured = measured.drop_columns([LANGUAGE])
        decided = [decide(rule, measured.filter(pa.array(rows))) for rule, rows in groups]
        return _scattered(decided, [rows for _, rows in groups])

    def _rules(self) -> Iterator[Filter]:
        yield self.default
        yield from (override.rule for override in self.overrides)

    def _groups(
        self, languages: pa.StringArray, is_apart: Callable[[Override], bool]
    ) -> Iterator[tuple[Filter, np.ndarray]]:
        """The default filter with its rows as a mask, then each other that has rows of its own."""
        apart = []
        rest = np.ones(len(languages), np.bool_)
        for override in filter(is_apart, self.overrides):
            mask = pc.fill_null(pc.equal(languages, override.language), False)
            rows = mask.to_numpy(zero_copy_only=False)
            if rows.any():
                apart.append((override.rule, rows))
                rest &= ~rows
        yield self.default, rest
        yield from apart


def measures_language(rule: object) -> bool:
    """Whether the filter, or its class, has a signal `language` of its own."""
    declared = getattr(rule, "SIGNALS", ())
    if isinstance(rule, PerLanguage):
        return measures_language(rule.default)
    return any(signal.name == LANGUAGE for signal in declared)


def check_overridable(
    name: str, language: str, default: Filter, rule: Filter, plain: set[str]
) -> None:
    """Raises FilterConfigError where a language cannot have its own value of a parameter.

    `plain` are the parameters, other than thresholds, that the language would change.
    """
    if not plain:
        return
    where = f"filter {name}: {KEY}.{language}: got {', '.join(sorted(plain))}"
    if protocol.edits(default) or protocol.edits(rule):
        raise FilterConfigError(
            f"{where}, by which texts are edited before their language is known; want thresholds, "
            "or the same value for all languages"
        )
    if measures_language(default):
        raise FilterConfigError(
            f"{where}, by which the language itself is measured; want thresholds"
        )


def check_fit_is_common(
    name: str, language: str, default: Filter, rule: Filter, other: Mapping[str, Any]
) -> None:
    """Raises FilterConfigError where a language asks for a fit of its own.

    There is one fit, of the documents of all languages; what it finds is for all of them. `other`
    are the parameters that the language is given.
    """
    where = f"filter {name}: {KEY}.{language}: got"
    fields = {manifest: field for field, manifest in manifest_names(type(rule)).items()}
    for parameter in getattr(rule, "FIT_PARAMETERS", ()):
        field = fields.get(parameter, parameter)
        wanted = getattr(default, field)
        if getattr(rule, field) != wanted:
            raise FilterConfigError(
                f"{where} {parameter}={other[parameter]!r}, which the fit of all languages reads; "
                f"want {parameter} beside {KEY}, for all alike"
            )
    for parameter in getattr(rule, "FITTED_PARAMETERS", ()):
        if parameter in other and other[parameter] is None:
            raise FilterConfigError(
                f"{where} {parameter}=None, to be found by a fit, of which there is one for all "
                f"languages; want values, or no {parameter} here to have what is found or given "
                "for all"
            )


def _languages(batch: pa.RecordBatch, rule: Filter) -> pa.StringArray:
    name = next((name for name in COLUMNS if name in batch.schema.names), None)
    if name is None:
        raise FilterError(
            f"{type(rule).__name__}: got {KEY} and a batch without the column {COLUMNS[0]} or "
            f"{COLUMNS[1]}; want the filter `language` before this one"
        )
    column = batch[name]
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.string())


def _measured(
    rule: Filter, batch: pa.RecordBatch, shared: TextStatistics, rows: np.ndarray
) -> pa.RecordBatch:
    if rows.all():
        return checked_measure(rule, batch, shared)
    mask = pa.array(rows)
    return checked_measure(rule, batch.filter(mask), shared.filter(mask))


def _failures(rule: Filter, measured: pa.RecordBatch) -> pa.RecordBatch:
    """As the filter explains them; the rule `keep` of one that does not explain itself."""
    explain = getattr(rule, "failures", None)
    if explain is not None:
        failed: pa.RecordBatch = explain(measured)
        return failed
    none = pa.nulls(measured.num_rows, pa.float64())
    kept = protocol.checked_keep(rule, measured)
    rules = pc.if_else(kept, pa.scalar(None, pa.string()), "keep")
    return pa.RecordBatch.from_arrays([rules, none, none], schema=FAILURES)


def _scattered(pieces: list[Any], rows: list[np.ndarray]) -> Any:
    """Pieces of a batch or array as one, each row back in its place."""
    if len(pieces) == 1:
        return pieces[0]
    places = np.argsort(np.concatenate([np.flatnonzero(mask) for mask in rows]), kind="stable")
    concat = pa.concat_batches if isinstance(pieces[0], pa.RecordBatch) else pa.concat_arrays
    return concat(pieces).take(pa.array(places))
