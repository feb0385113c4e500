"""Document length in characters and in words."""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from filters.bounded import Bounded
from filters.errors import FilterConfigError
from filters.parameters import threshold
from filters.protocol import Bound, Signal, signals
from filters.statistics import TextStatistics


@dataclass(frozen=True, kw_only=True, slots=True)
class Length(Bounded):
    """Keep documents of min_chars..max_chars characters and min_words..max_words words, inclusive.

    None is no upper bound.
    """

    SIGNALS: ClassVar = (
        Signal("num_chars", pa.int32(), "code points; 0 of a null text"),
        Signal("num_words", pa.int32(), "words as `TextStatistics` has them; 0 of a null text"),
    )
    IS_EXPENSIVE: ClassVar = False

    min_chars: int = threshold(0)
    max_chars: int | None = threshold(None)
    min_words: int = threshold(0)
    max_words: int | None = threshold(None)

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

    def bounds(self) -> tuple[Bound, ...]:
        return (
            Bound("num_chars", self.min_chars, self.max_chars, "min_chars", "max_chars"),
            Bound("num_words", self.min_words, self.max_words, "min_words", "max_words"),
        )
