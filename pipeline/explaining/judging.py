"""What each filter makes of one document: its values against the thresholds, from stored signals.

Nothing is measured: a decision needs the signals alone, and those are stored with the document.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from filters.chain import Chain, needs_fit
from filters.per_language import LANGUAGE, PerLanguage
from filters.protocol import Filter, bounds_of, first_failures
from filters.registry import NAME_KEY

PASSED, DROPPED, NOT_REACHED, UNFITTED = "passed", "dropped", "not reached", "not fitted"

Value = float | int | str | bool | None


@dataclass(frozen=True, slots=True)
class Check:
    """One signal, and the limits that it is held to, inclusive; None is no limit on that side."""

    signal: str
    value: Value
    minimum: float | None = None
    maximum: float | None = None

    @property
    def is_bounded(self) -> bool:
        return self.minimum is not None or self.maximum is not None

    @property
    def is_inside(self) -> bool:
        """Whether the limits let it pass; a null or a NaN is outside of any."""
        if not self.is_bounded:
            return True
        if not isinstance(self.value, int | float) or math.isnan(self.value):
            return False
        above = self.minimum is None or self.value >= self.minimum
        return above and (self.maximum is None or self.value <= self.maximum)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one filter says of one document.

    `rule`, `value` and `threshold` are those by which it would drop it if it were alone, whether it
    was asked or not; null where it would keep it, or where it was not measured.
    """

    filter: str
    state: str  # PASSED, DROPPED, NOT_REACHED or UNFITTED
    rule: str | None
    value: float | None
    threshold: float | None
    parameters: dict[str, Any]  # as given or fitted
    checks: tuple[Check, ...]


def judge(
    specs: Sequence[Mapping[str, Any]], row: pa.RecordBatch, dropped_by: str | None
) -> list[Verdict]:
    """The verdict of each filter of a source on a batch of one row of its refined files.

    `dropped_by` is the rule that dropped it, if any: the filters after that one were not reached.
    """
    verdicts = []
    filters = Chain.of(*specs).filters
    # What is dropped before the filters, as an empty text, reaches none of them.
    decides = dropped_by is None or any(_is_of(dropped_by, name) for name, _ in filters)
    for spec, (name, rule) in zip(specs, filters, strict=True):
        verdict = _verdict(spec, name, rule, row)
        if not decides:
            state = NOT_REACHED
        elif needs_fit(rule):
            state, decides = UNFITTED, False
        elif dropped_by is not None and _is_of(dropped_by, name):
            state, decides = DROPPED, False
        else:
            state = PASSED
        verdicts.append(replace(verdict, state=state))
    return verdicts


def _is_of(rule: str, name: str) -> bool:
    return rule == name or rule.startswith(f"{name}.")


def _verdict(spec: Mapping[str, Any], name: str, rule: Filter, row: pa.RecordBatch) -> Verdict:
    measured = signals_of(name, row)
    parameters = {key: value for key, value in spec.items() if key != NAME_KEY}
    if measured is None:
        return Verdict(name, NOT_REACHED, None, None, None, parameters, ())
    failed = first_failures(rule, name, measured)
    checks = _checks(_rule_of(rule, measured), measured)
    reason, value, threshold = (column[0].as_py() for column in failed.columns)
    return Verdict(name, NOT_REACHED, reason, value, threshold, parameters, checks)


def signals_of(name: str, row: pa.RecordBatch) -> pa.RecordBatch | None:
    """What a filter measured, by its own names; None where it measured nothing."""
    prefix = f"{name}."
    columns = [column for column in row.schema.names if column.startswith(prefix)]
    if not columns or not any(row[column][0].is_valid for column in columns):
        return None
    measured = row.select(columns)
    return measured.rename_columns([column.removeprefix(prefix) for column in columns])


def _rule_of(rule: Filter, measured: pa.RecordBatch) -> Filter:
    """The filter of the row's language."""
    if not isinstance(rule, PerLanguage):
        return rule
    language = measured[LANGUAGE][0].as_py()
    chosen = (override.rule for override in rule.overrides if override.language == language)
    return next(chosen, rule.default)


def _checks(rule: Filter, measured: pa.RecordBatch) -> tuple[Check, ...]:
    """The bounded signals in the filter's order, then the others."""
    values = {name: measured[name][0].as_py() for name in measured.schema.names}
    found = [
        Check(bound.signal, values[bound.signal], bound.minimum, bound.maximum)
        for bound in bounds_of(rule)
        if bound.signal in values
    ]
    bounded = {check.signal for check in found}
    return (*found, *(Check(name, value) for name, value in values.items() if name not in bounded))
