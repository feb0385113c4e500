"""The repetition rules of Gopher: Rae et al. 2021, arXiv:2112.11446, appendix A.1 and table A1.

datatrove 0.10.1 and this filter decide 3,682 of 5,351 documents alike (68.8 %; half of them are
code, a fifth are entries of a few words). The others are of three classes, measured by changing
one thing of datatrove's algorithm after the other:

- Where all n-grams occur once, datatrove takes one of them for the most frequent, and so drops
  what has few words: 892 of the 1,669 documents on which the two differ have fewer than 20. Here
  an n-gram that occurs once is no repetition; for length there are `length` and `gopher_quality`.
- datatrove splits off punctuation as words, which repeats more. With the words of `TextStatistics`
  it agrees on 4,116 documents, and on 5,156 (96.4 %) where, besides, an n-gram that occurs once
  does not count.
- The rest: datatrove goes on behind a duplicate n-gram and misses those that begin inside it,
  counts the spaces inside the most frequent n-gram, and compares lines with the white space at
  their ends.
"""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from filters.bounded import Bounded
from filters.errors import FilterConfigError
from filters.parameters import threshold
from filters.protocol import Bound, Signal, signals
from filters.statistics import TextStatistics, share

TOP_SIZES, DUPLICATE_SIZES = (2, 3, 4), (5, 6, 7, 8, 9, 10)

_NULL = "null of a text without words"


@dataclass(frozen=True, kw_only=True, slots=True)
class GopherRepetition(Bounded):
    """Keep documents that repeat little by the rules of Gopher (arXiv:2112.11446, table A1).

    The paper bounds the fraction of lines and of paragraphs that are duplicates, the fraction of
    characters in those, the fraction in the most frequent 2-, 3- and 4-gram of words, and the
    fraction in duplicate 5- to 10-grams, "taking care not to count characters that occur in
    overlapping n-grams more than once". It leaves open what is counted; here it is this:

    A duplicate is a line, paragraph or n-gram that is equal to an earlier one of the document: of
    two equal lines one is a duplicate. Lines are those that are not blank, without the white space
    at their ends; paragraphs are runs of such lines. Of an n-gram its words' characters count, not
    the white space between them. Fractions of characters are over all characters of the document,
    white space included. The most frequent n-gram counts with all its occurrences, the first too,
    but for those that overlap an earlier one; where no n-gram occurs twice the fraction is 0. Words
    and lines are those of `TextStatistics`: case and punctuation tell words apart.
    """

    SIGNALS: ClassVar = (
        Signal("duplicate_line_ratio", pa.float64(), f"lines that repeat, of all lines; {_NULL}"),
        Signal("duplicate_paragraph_ratio", pa.float64(), f"the same of paragraphs; {_NULL}"),
        Signal("duplicate_line_char_ratio", pa.float64(), f"characters in such lines; {_NULL}"),
        Signal(
            "duplicate_paragraph_char_ratio",
            pa.float64(),
            f"characters in such paragraphs; {_NULL}",
        ),
        *(
            Signal(
                f"top_{size}gram_char_ratio",
                pa.float64(),
                f"characters in the {size}-gram of words that occurs most often; {_NULL}",
            )
            for size in (2, 3, 4)
        ),
        *(
            Signal(
                f"duplicate_{size}gram_char_ratio",
                pa.float64(),
                f"characters in {size}-grams of words that repeat; {_NULL}",
            )
            for size in (5, 6, 7, 8, 9, 10)
        ),
    )
    PAPERS: ClassVar = ("Rae et al. 2021, arXiv:2112.11446, appendix A.1, table A1",)
    IS_EXPENSIVE: ClassVar = False

    max_duplicate_line_ratio: float = threshold(0.30)
    max_duplicate_paragraph_ratio: float = threshold(0.30)
    max_duplicate_line_char_ratio: float = threshold(0.20)
    max_duplicate_paragraph_char_ratio: float = threshold(0.20)
    max_top_2gram_char_ratio: float = threshold(0.20)
    max_top_3gram_char_ratio: float = threshold(0.18)
    max_top_4gram_char_ratio: float = threshold(0.16)
    max_duplicate_5gram_char_ratio: float = threshold(0.15)
    max_duplicate_6gram_char_ratio: float = threshold(0.14)
    max_duplicate_7gram_char_ratio: float = threshold(0.13)
    max_duplicate_8gram_char_ratio: float = threshold(0.12)
    max_duplicate_9gram_char_ratio: float = threshold(0.11)
    max_duplicate_10gram_char_ratio: float = threshold(0.10)

    def __post_init__(self) -> None:
        for bound in self.bounds():
            if bound.maximum is None or not 0 <= bound.maximum <= 1:
                raise FilterConfigError(
                    f"gopher_repetition: got max_{bound.signal}={bound.maximum}, want 0..1"
                )

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        chars = (
            shared.num_duplicate_line_chars,
            shared.num_duplicate_paragraph_chars,
            *(shared.num_top_ngram_chars(size) for size in TOP_SIZES),
            *(shared.num_duplicate_ngram_chars(size) for size in DUPLICATE_SIZES),
        )
        without_words = pc.equal(shared.num_words, 0)
        all_chars = pc.if_else(without_words, 0, shared.num_chars)
        ratios = (
            share(shared.num_duplicate_lines, shared.num_text_lines),
            share(shared.num_duplicate_paragraphs, shared.num_paragraphs),
            *(share(counted, all_chars) for counted in chars),
        )
        names = (signal.name for signal in self.SIGNALS)
        return signals(**dict(zip(names, ratios, strict=True)))

    def bounds(self) -> tuple[Bound, ...]:
        names = (signal.name for signal in self.SIGNALS)
        return tuple(
            Bound(name, maximum=getattr(self, f"max_{name}"), maximum_name=f"max_{name}")
            for name in names
        )
