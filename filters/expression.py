"""A rule of one's own over what earlier filters measured."""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from filters.errors import FilterConfigError, FilterError
from filters.parameters import threshold
from filters.parsing.expressions import (
    ExpressionError,
    column_name,
    columns,
    evaluate,
    evaluate_bool,
    literal,
    parse,
    parts,
)
from filters.protocol import FAILURES, Signal
from filters.statistics import TextStatistics


@dataclass(frozen=True, kw_only=True, slots=True)
class Expression:
    """Keep documents for which an expression over signals of earlier filters is true.

        {use: expression, signals: [language.language_score, length.num_words],
         keep: "language.language_score > 0.8 or length.num_words >= 500"}

    `keep` (in Python `condition`, because `keep` is the method) is in the language of
    `filters.parsing.expressions`: arithmetic, comparisons, `in`, `and`, `or`, `not`, `min`, `max`,
    `abs`. It may use the columns in `signals` and no others. `measure` copies these, and only
    `keep` reads the expression, so a changed expression over the same signals measures nothing
    again.

    A null signal makes what depends on it null, and null is not kept. A document is dropped by the
    first of the parts joined by `and` that is not true of it: the rule is the name of the signal
    where the part compares one with a number, else the text of the part.

    Raises FilterError where a signal is not there, with those that are, or is of another type than
    the expression needs.
    """

    SIGNALS: ClassVar[tuple[Signal, ...]] = ()  # those of `signals`, by their full names
    IS_EXPENSIVE: ClassVar = False
    EXAMPLE: ClassVar = {
        "signals": ["gopher_quality.num_words", "language.language_score"],
        "keep": "language.language_score >= 0.9 or gopher_quality.num_words > 1000",
    }

    signals: tuple[str, ...]
    condition: str = threshold(name="keep")

    def __post_init__(self) -> None:
        if len(set(self.signals)) < len(self.signals):
            raise FilterConfigError(f"expression: got {list(self.signals)}, want each signal once")
        try:
            node = parse(self.condition)
        except ExpressionError as exc:
            raise FilterConfigError(f"expression: keep: {exc}, in {self.condition!r}") from exc
        unknown = [name for name in columns(node) if name not in self.signals]
        if unknown:
            raise FilterConfigError(
                f"expression: keep names {', '.join(unknown)}, want those in signals: "
                f"{', '.join(self.signals) or 'none'}; add what is missing to signals"
            )

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        missing = [name for name in self.signals if name not in batch.schema.names]
        if missing:
            known = [name for name in batch.schema.names if "." in name]
            raise FilterError(
                f"expression: got no signal {', '.join(missing)}, want some of "
                f"{', '.join(known) or 'none, for no filter is before this one'}"
            )
        return batch.select(self.signals)

    def keep(self, measured: pa.RecordBatch) -> pa.BooleanArray:
        return pc.fill_null(self._truth(_parsed(self.condition), measured), False)

    def failures(self, measured: pa.RecordBatch) -> pa.RecordBatch:
        num_rows = measured.num_rows
        rule, value, limit = (pa.nulls(num_rows, field.type) for field in FAILURES)
        for part in parts(_parsed(self.condition)):
            fails = pc.invert(pc.fill_null(self._truth(part, measured), False))
            here = pc.and_(pc.is_null(rule), fails)
            name, signal, number = _explained(part)
            rule = pc.if_else(here, name, rule)
            if signal is not None:
                values = evaluate(signal, measured)
                value = pc.if_else(here, values, value)
                limit = pc.if_else(here, number, limit)
        return pa.RecordBatch.from_arrays([rule, value, limit], schema=FAILURES)

    def _truth(self, node: ast.expr, measured: pa.RecordBatch) -> pa.BooleanArray:
        try:
            return evaluate_bool(node, measured)
        except ExpressionError as exc:
            raise FilterError(f"expression: keep: {exc}, in {self.condition!r}") from exc


@functools.cache
def _parsed(condition: str) -> ast.expr:
    return parse(condition)


def _explained(part: ast.expr) -> tuple[str, ast.expr | None, float | None]:
    """The rule's name, and signal and number where the part compares the one with the other."""
    if isinstance(part, ast.Compare) and len(part.ops) == 1:
        sides = part.left, part.comparators[0]
        for signal, other in (sides, sides[::-1]):
            name, number = column_name(signal), _number(other)
            if name is not None and number is not None:
                return name, signal, number
    return ast.unparse(part), None, None


def _number(node: ast.expr) -> float | None:
    """The number that a literal is."""
    try:
        value = literal(node)
    except ValueError:
        return None
    return None if isinstance(value, str) else value
