"""The quality rules of Gopher: Rae et al. 2021, arXiv:2112.11446, appendix A.1.

The paper keeps a document that has 50 to 100,000 words, of a mean length of 3 to 10 characters; at
most 0.1 hash symbols per word, and at most 0.1 ellipses; at most 90 % of its lines beginning with a
bullet point and at most 30 % ending with an ellipsis; at least 80 % of its words with an alphabetic
character; and at least two of the words the, be, to, of, and, that, have, with.

The paper does not say what a word, an ellipsis or a bullet point is. Here they are as in
`TextStatistics`: a word is what stands between white space, punctuation included. datatrove splits
off punctuation, as spaCy's tokenizer does, and counts it as words: 1.38 times as many on 1,000
documents, 700 of them technical English. So its rule of 80 % is stricter: of those documents both
decide 724 alike, and datatrove 0.10.1 drops the other 276 by that rule alone. It knows two bullet
points, "•" and "-". Stop words are found here without regard to the case of ASCII letters.
"""

from dataclasses import dataclass

import pyarrow as pa

from filters.errors import FilterConfigError
from filters.protocol import Bound, first_failure, signals, within
from filters.statistics import TextStatistics, ratio


@dataclass(frozen=True, kw_only=True, slots=True)
class GopherQuality:
    """Keep documents that look like prose by the quality rules of Gopher (arXiv:2112.11446).

    Signals: `num_words` int32; `mean_word_length` float64, code points; `hash_word_ratio`,
    `ellipsis_word_ratio`, `alpha_word_ratio` float64, per word; `bullet_line_ratio`,
    `ellipsis_line_ratio` float64, per line; `num_stop_words` int32, how many of `stop_words` occur.
    A null text is measured as an empty one; without words, or without lines, a ratio is 0.
    """

    min_words: int = 50
    max_words: int = 100_000
    min_mean_word_length: float = 3.0
    max_mean_word_length: float = 10.0
    max_symbol_word_ratio: float = 0.1
    max_bullet_line_ratio: float = 0.9
    max_ellipsis_line_ratio: float = 0.3
    min_alpha_word_ratio: float = 0.8
    min_stop_words: int = 2
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
        unusable = [word for word in self.stop_words if not word.isalpha()]
        if unusable:
            raise FilterConfigError(
                f"gopher_quality: got stop_words {unusable}, want words of letters alone"
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

    def keep(self, measured: pa.RecordBatch) -> pa.BooleanArray:
        return within(measured, self._bounds())

    def failures(self, measured: pa.RecordBatch) -> pa.RecordBatch:
        return first_failure(measured, self._bounds())

    def _bounds(self) -> tuple[Bound, ...]:
        return (
            Bound("num_words", self.min_words, self.max_words),
            Bound("mean_word_length", self.min_mean_word_length, self.max_mean_word_length),
            Bound("hash_word_ratio", maximum=self.max_symbol_word_ratio),
            Bound("ellipsis_word_ratio", maximum=self.max_symbol_word_ratio),
            Bound("bullet_line_ratio", maximum=self.max_bullet_line_ratio),
            Bound("ellipsis_line_ratio", maximum=self.max_ellipsis_line_ratio),
            Bound("alpha_word_ratio", minimum=self.min_alpha_word_ratio),
            Bound("num_stop_words", minimum=self.min_stop_words),
        )

    @staticmethod
    def _require_range(unit: str, minimum: float, maximum: float) -> None:
        if not 0 <= minimum <= maximum:
            raise FilterConfigError(
                f"gopher_quality: got min_{unit}={minimum}, max_{unit}={maximum}; "
                f"want 0 <= min_{unit} <= max_{unit}"
            )
