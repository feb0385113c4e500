"""Regular expressions that must or must not match, by RE2.

A search by RE2 (through pyarrow) takes time linear in the text whatever the pattern: none can take
exponential time. For that it has no look-around and no back-references. But where there are many
matches there are as many searches, and of a pattern that looks far ahead for each, such as
`(?s)a.*z|a` on a text of "a", they take quadratic time together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from filters.bounded import Bounded
from filters.errors import FilterConfigError
from filters.parameters import threshold
from filters.protocol import Bound, Signal, signals
from filters.statistics import TextStatistics


@dataclass(frozen=True, kw_only=True, slots=True)
class Regex(Bounded):
    """Keep documents in which patterns match, or do not, by RE2.

    Each pattern of `require` has to match somewhere, but for `max_missing` of them; those of
    `refuse` may match at most `max_matches` times in all, without overlaps. A pattern is searched
    for in the whole text: `(?m)` makes "^" and "$" those of lines, `(?s)` lets "." be a line feed.
    An empty match counts, unless it is right behind another match. The syntax is at
    github.com/google/re2/wiki/Syntax. A null text matches nothing.
    """

    SIGNALS: ClassVar = (
        Signal("num_missing", pa.int32(), "patterns of `require` that match nowhere"),
        Signal("num_matches", pa.int32(), "matches of `refuse`, of all patterns together"),
    )
    IS_EXPENSIVE: ClassVar = False
    EXAMPLE: ClassVar = {"refuse": ["(?i)lorem ipsum"]}

    require: tuple[str, ...] = ()
    refuse: tuple[str, ...] = ()
    ignore_case: bool = False
    max_missing: int = threshold(0)
    max_matches: int = threshold(0)

    def __post_init__(self) -> None:
        if not self.require and not self.refuse:
            raise FilterConfigError("regex: got no pattern, want some in require or in refuse")
        for name in ("require", "refuse"):
            for pattern in getattr(self, name):
                _require_valid(name, pattern)
        for name in ("max_missing", "max_matches"):
            if getattr(self, name) < 0:
                raise FilterConfigError(f"regex: got {name}={getattr(self, name)}, want >= 0")

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        none = pa.repeat(pa.scalar(0, pa.int32()), len(shared.texts))
        num_missing = num_matches = none
        for pattern in self.require:
            matches = pc.match_substring_regex(
                shared.texts, pattern=pattern, ignore_case=self.ignore_case
            )
            missing = pc.invert(pc.fill_null(matches, False)).cast(pa.int32())
            num_missing = pc.add(num_missing, missing)
        for pattern in self.refuse:
            matches = _num_matches(shared.texts, pattern, self.ignore_case)
            num_matches = pc.add(num_matches, pc.fill_null(matches, 0).cast(pa.int32()))
        return signals(num_missing=num_missing, num_matches=num_matches)

    def bounds(self) -> tuple[Bound, ...]:
        return (
            Bound("num_missing", maximum=self.max_missing, maximum_name="max_missing"),
            Bound("num_matches", maximum=self.max_matches, maximum_name="max_matches"),
        )


def _num_matches(texts: pa.Array, pattern: str, ignore_case: bool) -> pa.Array:
    """The matches in each text, by the byte that is put behind each of them.

    `pc.count_substring_regex` searches again in what is left of the text, as if it began there: it
    finds three matches of "^a" in "aaa".
    """
    texts = texts.cast(pa.large_string())  # with a byte per match, a batch can pass 2 GiB
    pattern = f"(?i){pattern}" if ignore_case else pattern
    marked = pc.replace_substring_regex(texts, pattern=pattern, replacement="\\0\x01")
    return pc.subtract(pc.binary_length(marked), pc.binary_length(texts))


def _require_valid(name: str, pattern: str) -> None:
    try:
        pc.match_substring_regex(pa.array([""]), pattern=pattern)
    except pa.ArrowInvalid as exc:
        raise FilterConfigError(
            f"regex: got {pattern!r} in {name}, want a pattern of RE2 ({exc}); "
            "it has no look-around and no back-references"
        ) from exc
