"""The line-wise corrections of RefinedWeb: Penedo et al. 2023, arXiv:2306.01116, appendix G.2.

The paper discards lines that are mainly of upper-case characters, only of numerical characters, a
counter ("3 likes"), or one word; and the whole document if this takes more than 5 % of its words.

It gives no constants for the first three. Here they are: more than half of a line's characters, as
in the reproduction by DCLM (arXiv:2406.11794), white space left out; all of them, in any script;
and nothing but numbers and one noun of a list, in either order, such as "1,234 views" and
"Comments (12)". Blank lines stay. Words are as in `TextStatistics`.

The paper also cuts phrases out of lines of up to 10 words, "sign-in", "read more..." and "items in
cart", and has no list of them. The filter `boilerplate` has one, and takes such lines out whole.
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
from filters.kernels.characters import is_word
from filters.lines import Counts, Lines, edited, utf8
from filters.lists.wordlist import WordList, count_words
from filters.parameters import threshold
from filters.protocol import Bound, Signal, signals
from filters.statistics import TextStatistics, ratio

COUNTER_NOUNS = (
    *("like", "likes", "share", "shares", "comment", "comments", "view", "views"),
    *("follower", "followers", "following", "reply", "replies", "retweet", "retweets"),
    *("repost", "reposts", "upvote", "upvotes", "downvote", "downvotes", "vote", "votes"),
    *("download", "downloads", "subscriber", "subscribers", "reaction", "reactions"),
    *("answer", "answers", "review", "reviews", "rating", "ratings", "bookmark", "bookmarks"),
    *("post", "posts", "member", "members", "point", "points", "favorite", "favorites"),
)
NUM_REMOVED = "edited.refinedweb.num_removed_words"
_MAX_COUNTER_WORDS = 5  # a counter is short: only such lines are looked at


@dataclass(frozen=True, kw_only=True, slots=True)
class RefinedWeb(Bounded):
    """Remove the lines that RefinedWeb does, and documents with too many (arXiv:2306.01116).

    The edit removes lines of which more than `max_uppercase_ratio` is upper case (1 switches this
    off), and lines of numbers alone, counters (a number and one of `counter_nouns`) and lines of
    one word, each unless switched off. The other lines stay as they are. It leaves an int32 column
    `edited.refinedweb.num_removed_words`.

    A document is kept if at most `max_removed_word_ratio` of its words were removed. Of a text that
    was not edited, this is what the edit would remove. A null text has no words, and 0.
    """

    SIGNALS: ClassVar = (
        Signal(
            "removed_word_ratio",
            pa.float64(),
            "words of removed lines, per word of the text before the edit; 0 without words",
        ),
    )
    PAPERS: ClassVar = ("Penedo et al. 2023, arXiv:2306.01116, appendix G.2",)
    IS_EXPENSIVE: ClassVar = False

    max_uppercase_ratio: float = 0.5
    remove_numerical_lines: bool = True
    remove_counter_lines: bool = True
    remove_one_word_lines: bool = True
    counter_nouns: tuple[str, ...] = COUNTER_NOUNS
    max_removed_word_ratio: float = threshold(0.05)

    def __post_init__(self) -> None:
        for name in ("max_uppercase_ratio", "max_removed_word_ratio"):
            if not 0 <= getattr(self, name) <= 1:
                raise FilterConfigError(f"refinedweb: got {name}={getattr(self, name)}, want 0..1")
        unusable = [noun for noun in self.counter_nouns if not is_word(noun)]
        if unusable:
            raise FilterConfigError(
                f"refinedweb: got counter_nouns {unusable}, want words of letters and marks alone"
            )

    def edit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        lines, removed, num_removed = self._removed(batch["text"])
        left = lines.select(~removed).joined(separated=False)
        return edited(batch, *left, {NUM_REMOVED: num_removed})

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        if NUM_REMOVED in batch.schema.names:
            num_removed = batch[NUM_REMOVED].to_numpy(zero_copy_only=False)
            num_words = num_removed + shared.num_words.to_numpy()
        else:
            num_removed = self._removed(shared.texts)[2]
            num_words = shared.num_words.to_numpy()
        return signals(removed_word_ratio=ratio(pa.array(num_removed), pa.array(num_words)))

    def bounds(self) -> tuple[Bound, ...]:
        return (
            Bound(
                "removed_word_ratio",
                maximum=self.max_removed_word_ratio,
                maximum_name="max_removed_word_ratio",
            ),
        )

    def _removed(self, texts: pa.Array) -> tuple[Lines, npt.NDArray[np.bool_], Counts]:
        """All lines, which of them go, and how many words go with them from each text."""
        lines = Lines.split(*utf8(texts))
        num_words, num_chars, num_upper, num_numbers = lines.shapes()
        removed = num_upper > self.max_uppercase_ratio * num_chars
        if self.remove_numerical_lines:
            removed |= num_numbers == num_chars
        if self.remove_one_word_lines:
            removed |= num_words == 1
        if self.remove_counter_lines:
            short = np.flatnonzero(~removed & (num_words <= _MAX_COUNTER_WORDS))
            removed[short] = self._are_counters(lines, short)
        removed &= num_words > 0
        return lines, removed, lines.per_text(num_words * removed)

    def _are_counters(self, lines: Lines, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether the chosen lines are numbers and one noun, and nothing else."""
        spans = lines.data, lines.starts[chosen], lines.ends[chosen]
        num_words, num_numerals = count_words(*spans)
        num_nouns = _nouns(self.counter_nouns).find(*spans).num_listed
        found: npt.NDArray[np.bool_] = (
            (num_nouns == 1) & (num_numerals >= 1) & (num_nouns + num_numerals == num_words)
        )
        return found


@functools.cache
def _nouns(words: tuple[str, ...]) -> WordList:
    return WordList.of({"counter": words})
