"""Lines and paragraphs: which stand in more distinct texts than they may, and in which they stay.

A unit is known by the hash of its case-folded words, and counts once for each distinct text: copies
of one text keep what they have, so that deduplication removes them later, with evidence. Of the
texts with a unit too frequent the one that ranks best keeps it.
"""

from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from pipeline.arrow import value_bounds
from pipeline.dedup.words import word_table
from pipeline.edits import kernels
from pipeline.edits.config import LinesConfig, ParagraphsConfig

UnitKind = Literal["lines", "paragraphs"]
UNIT_KINDS: tuple[UnitKind, ...] = ("lines", "paragraphs")
UnitConfig = LinesConfig | ParagraphsConfig


class Units(NamedTuple):
    """Lines or paragraphs of a batch of texts, in their order."""

    hash: np.ndarray  # (m,) uint64
    row: np.ndarray  # (m,) int64, ascending
    start: np.ndarray  # (m,) int64, bytes within the text
    stop: np.ndarray


class UnitRows(NamedTuple):
    """A unit in a text: what meets in the shuffle."""

    key: np.ndarray  # (m,) uint64, the unit's hash
    text: np.ndarray  # (m,) uint64, the first half of the text's hash
    rank_high: np.ndarray
    rank_low: np.ndarray


class Keepers(NamedTuple):
    """The units that are too frequent, ascending, and the text that each one stays in."""

    key: np.ndarray  # (m,) uint64
    text: np.ndarray  # (m,) uint64


def units(texts: pa.StringArray, kind: UnitKind, config: UnitConfig, source: str) -> Units:
    """The lines or paragraphs of texts without nulls that have enough words to count."""
    bounds, buffer = value_bounds(texts)
    data, bounds = np.frombuffer(buffer, np.uint8), bounds.astype(np.int64)
    most = len(texts) + int(np.count_nonzero(data[bounds[0] : bounds[-1]] == ord("\n")))
    columns = (np.empty(most, np.uint64), *(np.empty(most, np.int64) for _ in range(3)))
    scope = source if config.scope == "source" else ""
    seed = np.uint64(xxhash.xxh3_64_intdigest(scope.encode()))
    num = kernels.find_units(
        data, bounds, word_table(), config.min_words, kind == "paragraphs", seed, *columns
    )
    return Units(*(column[:num] for column in columns))


def unit_rows(
    found: Units, text: np.ndarray, ranks: tuple[np.ndarray, np.ndarray], max_documents: int
) -> UnitRows:
    """Rows of the units of distinct texts, sorted by key, then rank.

    Of a unit at most `max_documents + 1` texts are left, those that rank best: they prove that it
    is too frequent, and hold the text that it stays in.
    """
    place = np.empty(len(text), np.int64)
    place[np.lexsort((*reversed(ranks),))] = np.arange(len(text))
    by_rank = np.argsort(place[found.row], kind="stable")
    order = by_rank[np.argsort(found.hash[by_rank], kind="stable")]
    key, row = found.hash[order], found.row[order]
    again = np.zeros(len(key), bool)
    again[1:] = (key[1:] == key[:-1]) & (row[1:] == row[:-1])
    key, row = key[~again], row[~again]
    number = np.arange(len(key)) - np.searchsorted(key, key)
    chosen = number <= max_documents
    key, row = key[chosen], row[chosen]
    return UnitRows(key, text[row], ranks[0][row], ranks[1][row])


def keepers(rows: UnitRows, max_documents: int) -> Keepers:
    """The units of more than `max_documents` distinct texts, from all rows of their keys."""
    order = np.lexsort((rows.rank_low, rows.rank_high, rows.key))
    key, first = np.unique(rows.key[order], return_index=True)
    pairs = np.lexsort((rows.text, rows.key))
    sorted_key, text = rows.key[pairs], rows.text[pairs]
    fresh = np.ones(len(pairs), bool)
    fresh[1:] = (sorted_key[1:] != sorted_key[:-1]) | (text[1:] != text[:-1])
    frequent = np.unique(sorted_key[fresh], return_counts=True)[1] > max_documents
    return Keepers(key[frequent], rows.text[order][first[frequent]])
