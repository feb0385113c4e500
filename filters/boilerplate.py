"""Lines of web pages that are no content: placeholders, notices, navigation.

C4 (Raffel et al. 2020, arXiv:1910.10683) takes out lines about cookies, policies and Javascript,
and pages with "lorem ipsum"; RefinedWeb (Penedo et al. 2023, arXiv:2306.01116) lines such as
"sign-in" and "read more...". Both know English alone and publish no list; the phrases here are in
eight languages, in `filters.lists.boilerplate_phrases`. Text of other languages is left as it is.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.bounded import Bounded
from filters.errors import FilterConfigError
from filters.lines import Lines, edited, utf8
from filters.lists.boilerplate_phrases import LANGUAGES, NAVIGATION, NOTICES, PLACEHOLDER
from filters.lists.wordlist import WordList
from filters.parameters import threshold
from filters.protocol import Bound, Signal, signals
from filters.statistics import TextStatistics, ratio

KINDS = ("placeholder", *NOTICES, "navigation")
NUM_REMOVED = "edited.boilerplate.num_removed_lines"
NUM_LINES = "edited.boilerplate.num_lines"
_NOTICE, _NAVIGATION = "notice", "navigation"


@dataclass(frozen=True, kw_only=True, slots=True)
class Boilerplate(Bounded):
    """Keep documents of which few lines are boilerplate, and remove these lines if asked to.

    A line is boilerplate if a phrase of the `kinds` placeholder, cookies, policy or javascript is
    in it, and it has at most `max_line_words` words (a longer one may be about such things); or if
    it is nothing but phrases of the kind navigation, such as "Home | Contact us". Phrases are those
    of `languages` (en, de, fr, es, it, pt, nl, pl), whatever the language of the document; words
    are whole and of any case.

    With `remove`, the edit takes these lines out, leaves the others as they are, and leaves int32
    columns `edited.boilerplate.num_removed_lines` and `edited.boilerplate.num_lines`; the signals
    are still those of the whole text. Blank lines do not count. A null text has none.
    """

    SIGNALS: ClassVar = (
        Signal("num_boilerplate_lines", pa.int32(), "lines that are boilerplate, before the edit"),
        Signal(
            "boilerplate_line_ratio",
            pa.float64(),
            "such lines per line that is not blank, before the edit; 0 without lines",
        ),
    )
    PAPERS: ClassVar = (
        "Raffel et al. 2020, arXiv:1910.10683, section 2.2",
        "Penedo et al. 2023, arXiv:2306.01116, appendix G.2",
    )
    IS_EXPENSIVE: ClassVar = False

    remove: bool = False
    kinds: tuple[str, ...] = KINDS
    languages: tuple[str, ...] = LANGUAGES
    max_line_words: int = 40
    max_boilerplate_line_ratio: float = threshold(0.3)

    def __post_init__(self) -> None:
        for name, known in (("kinds", KINDS), ("languages", LANGUAGES)):
            given = getattr(self, name)
            unknown = [value for value in given if value not in known]
            if unknown or not given:
                raise FilterConfigError(
                    f"boilerplate: got {unknown or 'no'} {name}, want some of {', '.join(known)}"
                )
        if self.max_line_words < 1:
            raise FilterConfigError(
                f"boilerplate: got max_line_words={self.max_line_words}, want at least 1"
            )
        if not 0 <= self.max_boilerplate_line_ratio <= 1:
            raise FilterConfigError(
                "boilerplate: got max_boilerplate_line_ratio="
                f"{self.max_boilerplate_line_ratio}, want 0..1"
            )

    @property
    def edits(self) -> bool:
        """Whether texts are edited at all: only with `remove`."""
        return self.remove

    def edit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        lines, removed, has_text = self._found(batch["text"])
        left = lines.select(~removed).joined(separated=False)
        counts = {NUM_REMOVED: lines.per_text(removed), NUM_LINES: lines.per_text(has_text)}
        if NUM_LINES in batch.schema.names:  # an earlier edit has counted the lines that it saw
            counts[NUM_LINES] = np.zeros_like(counts[NUM_LINES])
        return edited(batch, *left, counts)

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        if self.remove and NUM_REMOVED in batch.schema.names:
            found, num_lines = batch[NUM_REMOVED], batch[NUM_LINES]
        else:
            lines, boilerplate, has_text = self._found(shared.texts)
            found, num_lines = (pa.array(lines.per_text(mask)) for mask in (boilerplate, has_text))
        return signals(num_boilerplate_lines=found, boilerplate_line_ratio=ratio(found, num_lines))

    def bounds(self) -> tuple[Bound, ...]:
        return (
            Bound(
                "boilerplate_line_ratio",
                maximum=self.max_boilerplate_line_ratio,
                maximum_name="max_boilerplate_line_ratio",
            ),
        )

    def _found(self, texts: pa.Array) -> tuple[Lines, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """All lines, which of them are boilerplate, and which are not blank."""
        whole = Lines.split(*utf8(texts))
        lines = whole.stripped()
        phrases = _phrases(self.kinds, self.languages)
        groups = phrases.find(lines.data, lines.starts, lines.ends).groups
        found = groups & phrases.bit(_NOTICE) != 0
        found[found] = lines.select(found).shapes()[0] <= self.max_line_words
        maybe = np.flatnonzero(~found & (groups & phrases.bit(_NAVIGATION) != 0))
        found[maybe] = phrases.covers(
            lines.data, lines.starts[maybe], lines.ends[maybe], _NAVIGATION
        )
        return whole, found, lines.ends > lines.starts


@functools.cache
def _phrases(kinds: tuple[str, ...], languages: tuple[str, ...]) -> WordList:
    notices = [
        phrase
        for kind, by_language in NOTICES.items()
        if kind in kinds
        for language in languages
        for phrase in by_language[language]
    ]
    if "placeholder" in kinds:
        notices.extend(PLACEHOLDER)
    navigation = [phrase for language in languages for phrase in NAVIGATION[language]]
    return WordList.of({_NOTICE: notices, _NAVIGATION: navigation if "navigation" in kinds else []})
