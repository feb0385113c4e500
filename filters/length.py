"""Document length in characters and in words."""

from dataclasses import dataclass

import pyarrow as pa

from filters.errors import FilterConfigError
from filters.protocol import Bound, first_failure, signals, within
from filters.statistics import TextStatistics


@dataclass(frozen=True, kw_only=True, slots=True)
class Length:
    """Keep documents of min_chars..max_chars characters and min_words..max_words words, inclusive.

    Signals: `num_chars` int32, code points; `num_words` int32, words as maximal runs of non-space.
    A null text counts 0 of both. None is no upper bound.
    """

    min_chars: int = 0
    max_chars: int | None = None
    min_words: int = 0
    max_words: int | None = None

    def __post_init__(self) -> None:
        for unit, minimum, maximum in (
            ("chars", self.min_chars, self.max_chars),
            ("words", self.min_words, self.max_words),
        ):
            if minimum < 0 or (maximum is not None and maximum < minimum):
                raise FilterConfigError(
                    f"length: got min_{unit}={minimum}, max_{unit}={maximum}; "
                    f"want 0 <= min_{unit} <= max_{unit}"
                )

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        return signals(num_chars=shared.num_chars, num_words=shared.num_words)

    def keep(self, measured: pa.RecordBatch) -> pa.BooleanArray:
        return within(measured, self._bounds())

    def failures(self, measured: pa.RecordBatch) -> pa.RecordBatch:
        return first_failure(measured, self._bounds())

    def _bounds(self) -> tuple[Bound, ...]:
        return (
            Bound("num_chars", self.min_chars, self.max_chars),
            Bound("num_words", self.min_words, self.max_words),
        )
