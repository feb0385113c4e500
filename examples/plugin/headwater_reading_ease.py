"""How easy an English text is to read: Flesch 1948, "A new readability yardstick".

Reading ease = 206.835 - 1.015 words per sentence - 84.6 syllables per word. Plain English has 60 to
70, a law under 30. A syllable is here a run of vowels, a sentence what ends with ".", "!" or "?"
and a space or the text's end.
"""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from filters.bounded import Bounded
from filters.errors import FilterConfigError
from filters.parameters import threshold
from filters.protocol import Bound, Signal, signals
from filters.statistics import TextStatistics, ratio


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingEase(Bounded):
    """Keep documents of a reading ease of min_ease..max_ease, inclusive.

    A text without words has the reading ease null and is dropped.
    """

    SIGNALS: ClassVar = (
        Signal("num_sentences", pa.int32(), "sentences, at least one"),
        Signal("num_syllables", pa.int32(), "runs of the vowels a, e, i, o, u, y"),
        Signal("ease", pa.float64(), "Flesch's reading ease; null where there is no word"),
    )
    PAPERS: ClassVar = ("Flesch 1948, Journal of Applied Psychology 32(3), 221-233",)
    IS_EXPENSIVE: ClassVar = False

    min_ease: float = threshold(0.0)
    max_ease: float = threshold(121.22)  # of a text of one-syllable words and sentences

    def __post_init__(self) -> None:
        if not self.min_ease <= self.max_ease:
            raise FilterConfigError(
                f"reading_ease: got min_ease={self.min_ease}, max_ease={self.max_ease}; "
                "want min_ease <= max_ease"
            )

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        texts = pc.fill_null(shared.texts, "")
        ends = pc.count_substring_regex(texts, r"[.!?]+(?:\s|$)").cast(pa.int32())
        sentences = pc.max_element_wise(ends, pa.scalar(1, pa.int32()))
        syllables = pc.count_substring_regex(texts, "(?i)[aeiouy]+").cast(pa.int32())
        per_sentence = pc.multiply(1.015, ratio(shared.num_words, sentences))
        per_word = pc.multiply(84.6, ratio(syllables, shared.num_words))
        ease = pc.subtract(pc.subtract(206.835, per_sentence), per_word)
        has_words = pc.greater(shared.num_words, 0)
        return signals(
            num_sentences=sentences,
            num_syllables=syllables,
            ease=pc.if_else(has_words, ease, pa.scalar(None, pa.float64())),
        )

    def bounds(self) -> tuple[Bound, ...]:
        return (Bound("ease", self.min_ease, self.max_ease, "min_ease", "max_ease"),)
