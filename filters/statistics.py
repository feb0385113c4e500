"""Counts over the texts of one batch, computed once and shared by all filters that look at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.errors import FilterError
from filters.kernels import text as kernels
from filters.kernels.characters import character_flags

Counts = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_MAX_TEXT_BYTES = 2**31 - 1  # what an int32 count can hold


@dataclass(frozen=True, eq=False)
class TextStatistics:
    """Counts per text, int32, never null: a null text counts as an empty one, 0 throughout.

    `texts` is a string, large_string or string_view array of valid UTF-8; slices are fine. Each
    group of counts is computed by one compiled pass when one of them is first asked for:

    - `num_bytes`: of the UTF-8.
    - `num_chars`: code points. `num_words`: maximal runs of code points that are not white space
      (Unicode's White_Space). `num_word_chars`: code points in words. `num_alpha_words`: words with
      at least one letter (general categories L*).
    - `num_lines`: ended by LF, CR, CR LF or the end of the text; blank ones count, none follows a
      final line end. `num_bullet_lines`: whose first character that is not white space is one of
      "•‣◦▪-*". `num_ellipsis_lines`: whose last such characters are "…" or "...".
    - `num_hashes`: "#". `num_ellipses`: "…", and "..." without overlaps.
    - `num_distinct(words)`: how many of the given words occur.

    In scripts without spaces (Chinese, Japanese, Thai) a word is what stands between two white
    spaces, most often a sentence.

    Raises FilterError where `texts` is of another type, or a text is over 2 GiB.
    """

    texts: pa.Array
    _distinct: dict[tuple[str, ...], Counts] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        kind = self.texts.type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            if not pa.types.is_string_view(kind):
                raise FilterError(f"texts: got Arrow type {kind}, want string or large_string")
            object.__setattr__(self, "texts", self.texts.cast(pa.large_string()))

    @property
    def num_bytes(self) -> pa.Int32Array:
        return pa.array(np.diff(self._buffers[0]).astype(np.int32))

    @property
    def num_chars(self) -> pa.Int32Array:
        return pa.array(self._words[0])

    @property
    def num_words(self) -> pa.Int32Array:
        return pa.array(self._words[1])

    @property
    def num_word_chars(self) -> pa.Int32Array:
        return pa.array(self._words[2])

    @property
    def num_alpha_words(self) -> pa.Int32Array:
        return pa.array(self._words[3])

    @property
    def num_lines(self) -> pa.Int32Array:
        return pa.array(self._lines[0])

    @property
    def num_bullet_lines(self) -> pa.Int32Array:
        return pa.array(self._lines[1])

    @property
    def num_ellipsis_lines(self) -> pa.Int32Array:
        return pa.array(self._lines[2])

    @property
    def num_hashes(self) -> pa.Int32Array:
        return pa.array(self._lines[3])

    @property
    def num_ellipses(self) -> pa.Int32Array:
        return pa.array(self._lines[4])

    def num_distinct(self, words: tuple[str, ...]) -> pa.Int32Array:
        """How many of `words` each text has at least once.

        A text's words are here the maximal runs of letters and marks, so "that's" has "that". Case
        is disregarded in ASCII alone: "The" is "the", but "И" is not "и".
        """
        if words not in self._distinct:
            self._distinct[words] = self._count(
                1, kernels.count_distinct, character_flags(), *_table(words)
            )
        return pa.array(self._distinct[words][0])

    def sample(self, max_chars: int, num_pieces: int) -> tuple[Offsets, Bytes]:
        """One line per text, ended by LF, as offsets (n + 1) and UTF-8.

        All of the text where it has at most `max_chars` code points, else `num_pieces` pieces of
        together at most that many, from the starts of as many equal stretches of it, joined by
        spaces. Runs of white space are one space.
        """
        offsets, data = self._buffers
        text_bytes = np.minimum(np.diff(offsets), 4 * max_chars)
        room = int(np.sum(text_bytes)) + (num_pieces + 1) * len(self.texts)
        line_offsets, lines = np.zeros_like(offsets), np.empty(room, np.uint8)
        kernels.sample_lines(
            offsets, data, character_flags(), max_chars, num_pieces, line_offsets, lines
        )
        return line_offsets, lines[: line_offsets[-1]]

    def filter(self, mask: pa.BooleanArray) -> TextStatistics:
        """The statistics of the texts where `mask` is true; what was counted is not recounted."""
        chosen = TextStatistics(self.texts.filter(mask))
        rows = np.flatnonzero(mask.to_numpy(zero_copy_only=False))
        for group in self.__dict__.keys() & {"_words", "_lines"}:
            chosen.__dict__[group] = self.__dict__[group][:, rows]
        chosen._distinct.update({words: met[:, rows] for words, met in self._distinct.items()})
        return chosen

    @cached_property
    def _words(self) -> Counts:
        return self._count(4, kernels.count_words, character_flags())

    @cached_property
    def _lines(self) -> Counts:
        return self._count(5, kernels.count_lines, character_flags())

    def _count(self, num_counts: int, kernel: Callable[..., None], *arguments: object) -> Counts:
        counts = np.zeros((num_counts, len(self.texts)), np.int32)
        kernel(*self._buffers, *arguments, counts)
        return counts

    @cached_property
    def _buffers(self) -> tuple[Offsets, Bytes]:
        """Offsets (n + 1) and the bytes they point into."""
        texts = self.texts.fill_null("") if self.texts.null_count else self.texts
        _, offset_buffer, data_buffer = texts.buffers()
        if len(texts) == 0 or offset_buffer is None:
            return np.zeros(1, np.int64), np.zeros(0, np.uint8)
        width = np.int64 if pa.types.is_large_string(texts.type) else np.int32
        stored = np.frombuffer(offset_buffer, width)
        offsets = stored[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
        longest = int(np.max(np.diff(offsets)))
        if longest > _MAX_TEXT_BYTES:
            raise FilterError(f"a text has {longest} bytes, want at most {_MAX_TEXT_BYTES}")
        data = np.frombuffer(data_buffer or b"", np.uint8)
        data.flags.writeable = False  # some buffers are not: the kernels would compile twice
        return offsets, data


def ratio(numerator: pa.Array, denominator: pa.Array) -> pa.DoubleArray:
    """Quotient in float64, and 0 where the denominator is 0: never NaN, never infinite.

    float64, because there 1/10 is exactly the 0.1 of a threshold, which it is not in float32.
    """
    whole = pc.if_else(pc.equal(denominator, 0), 1, denominator)
    divided = pc.divide(numerator.cast(pa.float64()), whole.cast(pa.float64()))
    return pc.if_else(pc.equal(denominator, 0), 0.0, divided)


@cache
def _table(words: tuple[str, ...]) -> tuple[Offsets, Bytes, Counts, npt.NDArray[np.bool_]]:
    """Offsets and bytes of the words, A to Z as a to z, and their index."""
    encoded = [word.encode().lower() for word in words]  # bytes.lower: ASCII alone
    offsets = np.cumsum([0, *(len(word) for word in encoded)], dtype=np.int64)
    data = np.frombuffer(b"".join(encoded), np.uint8)
    slots = np.empty(1 << (2 * len(words) + 1).bit_length(), np.int32)
    begins = np.zeros(256, np.bool_)
    kernels.index_words(offsets, data, slots, begins)
    return offsets, data, slots, begins
