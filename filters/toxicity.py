"""Words that are not wanted, from lists of the user's, by language.

C4 (Raffel et al. 2020, arXiv:1910.10683) drops a page for one word of such a list. No list is in
this package: which words are offensive depends on the corpus, the time and the speaker, has to be
decided by those who know the language, and decides what text is lost. C4's list took out more text
by and about minorities than other text (Dodge et al. 2021, arXiv:2104.08758). For a model of
toxicity, which judges words in their context, see the filter `classifier`.

A list of 100,000 made-up words is read in 0.5 s of one core; with it, mixed documentation takes
twice as long as with a list of 400 (80 and 161 MB/s on a shared core).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.bounded import Bounded
from filters.errors import FilterConfigError
from filters.files import cached_by_files
from filters.lines import strings, utf8
from filters.lists.wordlist import MAX_GROUPS, WordList, count_words, read_words
from filters.parameters import FilePath, threshold
from filters.protocol import Bound, Signal, signals
from filters.statistics import TextStatistics, ratio

LANGUAGE = "language.language"


@dataclass(frozen=True, kw_only=True, slots=True)
class Toxicity(Bounded):
    """Keep documents with at most `max_listed_words` words of a list, and at most a ratio of them.

    `words` has a list for each language: the path of a file in UTF-8 with a word or phrase on each
    line, or the words themselves. A document is held against the list of its language, column
    `language.language`, as the filter `language` before this one leaves it; where the language has
    no list, nothing is listed. Without the column, and where it is null, all lists count.

    Words are whole and of any case, in any script: runs of letters, marks and digits; in scripts
    without spaces (Chinese, Japanese, Thai and others) each letter or mark, so that an entry is
    found inside of words. A phrase is found whatever stands between its words.
    """

    SIGNALS: ClassVar = (
        Signal("num_listed_words", pa.int32(), "words at which an entry begins; 0 of a null text"),
        Signal("listed_word_ratio", pa.float64(), "such words per word; 0 without words"),
    )
    PAPERS: ClassVar = (
        "Raffel et al. 2020, arXiv:1910.10683, section 2.2",
        "Dodge et al. 2021, arXiv:2104.08758",
    )
    IS_EXPENSIVE: ClassVar = False
    EXAMPLE: ClassVar = {"words": {"en": "lists/en.txt"}, "max_listed_words": 2}

    words: Mapping[str, FilePath | tuple[str, ...]]
    max_listed_words: int | None = threshold(0)
    max_listed_word_ratio: float | None = threshold(None)

    def __post_init__(self) -> None:
        if not 0 < len(self.words) <= MAX_GROUPS:
            raise FilterConfigError(
                f"toxicity: got words of {len(self.words)} languages, want 1 to {MAX_GROUPS}, "
                "such as {en: PATH}"
            )
        for language, listed in self.words.items():
            if not listed:
                raise FilterConfigError(f"toxicity: got no words for {language}, want some")
        if self.max_listed_words is not None and self.max_listed_words < 0:
            raise FilterConfigError(
                f"toxicity: got max_listed_words={self.max_listed_words}, want >= 0 or null"
            )
        share = self.max_listed_word_ratio
        if share is not None and not 0 <= share <= 1:
            raise FilterConfigError(
                f"toxicity: got max_listed_word_ratio={share}, want 0..1 or null"
            )

    @property
    def files(self) -> tuple[str, ...]:
        """What `measure` reads besides the batch: another content, other signals."""
        return tuple(path for path in self.words.values() if isinstance(path, str))

    def load(self) -> None:
        """Read the lists. Raises FilterLoadError; FilterConfigError for an entry without a word."""
        self._list()

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        offsets, data = utf8(shared.texts)
        spans = data, offsets[:-1], offsets[1:]
        listed = self._list()
        found = listed.find(*spans, self._wanted(batch, listed))
        num_listed, num_words = pa.array(found.num_listed), pa.array(count_words(*spans)[0])
        return signals(num_listed_words=num_listed, listed_word_ratio=ratio(num_listed, num_words))

    def bounds(self) -> tuple[Bound, ...]:
        return (
            Bound(
                "num_listed_words", maximum=self.max_listed_words, maximum_name="max_listed_words"
            ),
            Bound(
                "listed_word_ratio",
                maximum=self.max_listed_word_ratio,
                maximum_name="max_listed_word_ratio",
            ),
        )

    def _list(self) -> WordList:
        return _load(tuple(self.words.items()))

    def _wanted(self, batch: pa.RecordBatch, listed: WordList) -> npt.NDArray[np.uint64] | None:
        """The bits of the lists that count for each row; None is all of them."""
        if LANGUAGE not in batch.schema.names:
            return None
        languages = strings(batch, LANGUAGE)
        every = np.uint64(2**64 - 1)
        bits = np.array([*map(listed.bit, listed.names), 0, every], np.uint64)
        place = pc.index_in(languages, value_set=pa.array(listed.names, pa.string()))
        place = pc.fill_null(place, len(listed.names))
        place = pc.if_else(pc.is_null(languages), len(listed.names) + 1, place)
        wanted: npt.NDArray[np.uint64] = bits[place.to_numpy(zero_copy_only=False)]
        return wanted


@cached_by_files(lambda words: [listed for _, listed in words if isinstance(listed, str)])
def _load(words: tuple[tuple[str, str | tuple[str, ...]], ...]) -> WordList:
    return WordList.of(
        {
            language: read_words(listed, f"toxicity: words of {language}")
            if isinstance(listed, str)
            else listed
            for language, listed in words
        }
    )
