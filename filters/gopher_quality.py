"""The quality rules of Gopher: Rae et al. 2021, arXiv:2112.11446, appendix A.1.

The paper keeps a document that has 50 to 100,000 words, of a mean length of 3 to 10 characters; at
most 0.1 hash symbols per word, and at most 0.1 ellipses; at most 90 % of its lines beginning with a
bullet point and at most 30 % ending with an ellipsis; at least 80 % of its words with an alphabetic
character; and at least two of the words the, be, to, of, and, that, have, with.

The paper does not say what a word, an ellipsis or a bullet point is. Here they are as in
`TextStatistics`: a word is what stands between white space, punctuation included. Stop words are
found without regard to the case of ASCII letters.

datatrove 0.10.1 and this filter decide 3,214 of 5,351 documents alike (60.1 %; half of them are
code). datatrove splits off punctuation, as spaCy's tokenizer does, and counts it as words, so that
its rule of 80 % is stricter: it alone drops 2,119 documents by that rule. It leaves words of
punctuation out of the mean length and of the number of words: it alone drops 13 for long words and
3 for few, and keeps 2 that are dropped here. It knows two bullet points, "•" and "-", which
changed no decision.
"""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from filters.bounded import Bounded
from filters.errors import FilterConfigError
from filters.kernels.characters import is_word
from filters.parameters import threshold
from filters.protocol import Bound, Signal, signals
from filters.statistics import TextStatistics, ratio


@dataclass(frozen=True, kw_only=True, slots=True)
class GopherQuality(Bounded):
    """Keep documents that look like prose by the quality rules of Gopher (arXiv:2112.11446).

    `stop_words` are words of letters alone; give those of the documents' language. A null text is
    measured as an empty one; without words, or without lines, a ratio is 0.
    """

    SIGNALS: ClassVar = (
        Signal("num_words", pa.int32(), "words"),
        Signal("mean_word_length", pa.float64(), "code points per word"),
        Signal("hash_word_ratio", pa.float64(), 'hash symbols, "#", per word'),
        Signal("ellipsis_word_ratio", pa.float64(), 'ellipses, "..." or "…", per word'),
        Signal("bullet_line_ratio", pa.float64(), "lines that begin with a bullet, of all lines"),
        Signal("ellipsis_line_ratio", pa.float64(), "lines that end with an ellipsis, of all"),
        Signal("alpha_word_ratio", pa.float64(), "words that have a letter, of all words"),
        Signal("num_stop_words", pa.int32(), "how many of stop_words occur"),
    )
    PAPERS: ClassVar = ("Rae et al. 2021, arXiv:2112.11446, appendix A.1",)
    IS_EXPENSIVE: ClassVar = False

    min_words: int = threshold(50)
    max_words: int = threshold(100_000)
    min_mean_word_length: float = threshold(3.0)
    max_mean_word_length: float = threshold(10.0)
    max_symbol_word_ratio: float = threshold(0.1)
    max_bullet_line_ratio: float = threshold(0.9)
    max_ellipsis_line_ratio: float = threshold(0.3)
    min_alpha_word_ratio: float = threshold(0.8)
    min_stop_words: int = threshold(2)
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with")

    def __post_init__(self) -> None:
        self._require_range("words", self.min_words, self.max_words)
        self._require_range(
            "mean_word_length", self.min_mean_word_length, self.max_mean_word_length
        )
        for name in ("max_bullet_line_ratio", "max_ellipsis_line_ratio", "min_alpha_word_ratio"):
            if not 0 <= getattr(self, name) <= 1:
                raise FilterConfigError(
                    f"gopher_quality: got {name}={getattr(self, name)}, want 0..1"
                )
        if not self.max_symbol_word_ratio >= 0:
            raise FilterConfigError(
                f"gopher_quality: got max_symbol_word_ratio={self.max_symbol_word_ratio}, want >= 0"
            )
        if not 0 <= self.min_stop_words <= len(set(self.stop_words)):
            raise FilterConfigError(
                f"gopher_quality: got min_stop_words={self.min_stop_words}, want 0 to "
                f"{len(set(self.stop_words))}, the number of stop_words"
            )
        unusable = [word for word in self.stop_words if not is_word(word)]
        if unusable:
            raise FilterConfigError(
                f"gopher_quality: got stop_words {unusable}, want words of letters and marks alone"
            )

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        return signals(
            num_words=shared.num_words,
            mean_word_length=ratio(shared.num_word_chars, shared.num_words),
            hash_word_ratio=ratio(shared.num_hashes, shared.num_words),
            ellipsis_word_ratio=ratio(shared.num_ellipses, shared.num_words),
            bullet_line_ratio=ratio(shared.num_bullet_lines, shared.num_lines),
            ellipsis_line_ratio=ratio(shared.num_ellipsis_lines, shared.num_lines),
            alpha_word_ratio=ratio(shared.num_alpha_words, shared.num_words),
            num_stop_words=shared.num_distinct(self.stop_words),
        )

    def bounds(self) -> tuple[Bound, ...]:
        return (
            Bound("num_words", self.min_words, self.max_words, "min_words", "max_words"),
            Bound(
                "mean_word_length",
                self.min_mean_word_length,
                self.max_mean_word_length,
                "min_mean_word_length",
                "max_mean_word_length",
            ),
            Bound(
                "hash_word_ratio",
                maximum=self.max_symbol_word_ratio,
                maximum_name="max_symbol_word_ratio",
            ),
            Bound(
                "ellipsis_word_ratio",
                maximum=self.max_symbol_word_ratio,
                maximum_name="max_symbol_word_ratio",
            ),
            Bound(
                "bullet_line_ratio",
                maximum=self.max_bullet_line_ratio,
                maximum_name="max_bullet_line_ratio",
            ),
            Bound(
                "ellipsis_line_ratio",
                maximum=self.max_ellipsis_line_ratio,
                maximum_name="max_ellipsis_line_ratio",
            ),
            Bound(
                "alpha_word_ratio",
                minimum=self.min_alpha_word_ratio,
                minimum_name="min_alpha_word_ratio",
            ),
            Bound("num_stop_words", minimum=self.min_stop_words, minimum_name="min_stop_words"),
        )

    @staticmethod
    def _require_range(unit: str, minimum: float, maximum: float) -> None:
        if not 0 <= minimum <= maximum:
            raise FilterConfigError(
                f"gopher_quality: got min_{unit}={minimum}, max_{unit}={maximum}; "
                f"want 0 <= min_{unit} <= max_{unit}"
            )
