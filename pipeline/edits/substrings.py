"""Repeated substrings: of the words that repeat in windows of `min_tokens`, one occurrence stays.

The words covered by a repeat of at least k words are those covered by a repeated window of k words,
so equal windows are all that a suffix array would find. Texts are taken in the order of their rank,
their windows from left to right. A window stands once all its words are kept; a later one that is
equal to a window that stands is cut. So, within a group, each cut word belonged to a window that
still stands whole in a better-ranked text, or earlier in the same one. (Marking every occurrence
but the first, as a suffix array's users do, does not promise that: of "a b", "b c", "c d" the
second may lose "b" to the first, and the third then "c" to the second, which is already broken.)

A window is known by a 64-bit hash, of which one bit is lost: in 16M windows, those of 100 MB, two
different ones meet with odds of 10^-5. A window of which no other can be equal costs no memory: two
bitmaps, of a bit for half a byte of text each, say which may stand twice.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.arrow import value_bounds
from pipeline.dedup.words import word_table
from pipeline.edits import kernels
from pipeline.edits.spans import unite

BITS_PER_BYTE = 2  # of text: about 12 a word
MIN_BITMAP_BITS = 1 << 10


class Spans(NamedTuple):
    """Bytes start:stop of texts, in any order."""

    row: np.ndarray  # (m,) int64
    start: np.ndarray  # (m,) int64
    stop: np.ndarray


class CutRows(NamedTuple):
    """A span of a text: what meets in the shuffle. A text without spans has one that is empty."""

    key: np.ndarray  # (m,) uint64, the first half of the text's hash
    low: np.ndarray  # (m,) uint64, the second half
    rank_high: np.ndarray
    rank_low: np.ndarray
    start: np.ndarray  # (m,) int64
    stop: np.ndarray


class Cuts(NamedTuple):
    """Spans of texts by their hashes, sorted, none overlapping."""

    key: np.ndarray
    low: np.ndarray
    start: np.ndarray
    stop: np.ndarray


def repeats(texts: pa.StringArray, order: np.ndarray, min_tokens: int) -> Spans:
    """What repeats in distinct texts without nulls, best-ranked text first in `order`."""
    bounds, buffer = value_bounds(texts)
    data, bounds = np.frombuffer(buffer, np.uint8), bounds.astype(np.int64)
    num_bytes = int(bounds[-1] - bounds[0])
    num_bits = max(MIN_BITMAP_BITS, BITS_PER_BYTE * num_bytes)
    shift = np.uint64(64 - (num_bits - 1).bit_length())
    most = num_bytes // (2 * min_tokens) + len(texts) + 1
    columns = [np.empty(most, np.int64) for _ in Spans._fields]
    num = kernels.find_repeats(
        data, bounds, order.astype(np.int64), word_table(), min_tokens, shift, *columns
    )
    return Spans(*(column[:num] for column in columns))


def cut_rows(spans: Spans, words: np.ndarray, ranks: tuple[np.ndarray, np.ndarray]) -> CutRows:
    """Rows of the spans of texts with the hashes `words` (n, 2), sorted by key."""
    row = np.concatenate([spans.row, np.arange(len(words))])
    nothing = np.zeros(len(words), np.int64)
    start, stop = np.concatenate([spans.start, nothing]), np.concatenate([spans.stop, nothing])
    order = np.argsort(words[row, 0], kind="stable")
    row, start, stop = row[order], start[order], stop[order]
    return CutRows(words[row, 0], words[row, 1], ranks[0][row], ranks[1][row], start, stop)


def united(rows: CutRows) -> Cuts:
    """What is cut of each text: the union of what groups found in which it ranks best.

    One text may stand in sources of different priority. A group that knows it as a copy of lower
    priority may cut for a text that ranks below the best copy, and what that text keeps could go
    in turn for the best copy's sake: so such a group is not heard.
    """
    order = np.lexsort((rows.rank_low, rows.rank_high, rows.low, rows.key))
    key, low = rows.key[order], rows.low[order]
    fresh = np.ones(len(order), bool)
    fresh[1:] = (key[1:] != key[:-1]) | (low[1:] != low[:-1])
    best = order[np.maximum.accumulate(np.where(fresh, np.arange(len(order)), 0))]
    chosen = (
        (rows.rank_high[order] == rows.rank_high[best])
        & (rows.rank_low[order] == rows.rank_low[best])
        & (rows.stop[order] > rows.start[order])
    )
    order = order[chosen]
    order = order[np.lexsort((rows.start[order], rows.low[order], rows.key[order]))]
    cuts = Cuts(*(column[order] for column in (rows.key, rows.low, rows.start, rows.stop)))
    first = np.zeros(len(order), bool)
    unite(*cuts, first)
    return Cuts(*(column[first] for column in cuts))
