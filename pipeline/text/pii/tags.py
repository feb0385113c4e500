"""Where the tags stand that were written into texts, and what is to be stored instead of each.

Places are bytes within the row, so they hold for any array that has the row.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_ROW_BITS = np.int64(32)  # a text has less than 2^31 bytes


class Tags(NamedTuple):
    """Tags of a batch of texts, by row and place; none overlap."""

    rows: NDArray[np.int64]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    kinds: NDArray[np.int64]  # index into the config's kinds
    values: NDArray[np.object_]  # str: what is stored instead; empty where that is the tag

    def select(self, places: NDArray[np.int64] | NDArray[np.bool_]) -> "Tags":
        """Some of them, or all in another order."""
        rows, begins, ends, kinds, values = self
        return Tags(rows[places], begins[places], ends[places], kinds[places], values[places])


def no_tags() -> Tags:
    empty = np.empty(0, np.int64)
    return Tags(empty, empty, empty, empty, np.empty(0, np.object_))


def is_clear(tags: Tags, rows: NDArray[np.int64], spans: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the spans, (n, 2) bytes within their rows, touch no byte of a tag."""
    if not len(tags.rows):
        return np.ones(len(rows), np.bool_)
    last = np.searchsorted(_keys(tags.rows, tags.begins), _keys(rows, spans[:, 1])) - 1
    ends = _keys(tags.rows, tags.ends)[np.maximum(last, 0)]
    return (last < 0) | (ends <= _keys(rows, spans[:, 0]))


def with_replaced(tags: Tags, new: Tags, old_ends: NDArray[np.int64]) -> Tags:
    """All tags after spans of the same texts became the tags `new`.

    `new.begins` to `old_ends` are the spans before, sorted and clear of the tags there were; the
    tags' lengths are those of `new`.
    """
    growth = np.concatenate([[0], np.cumsum(new.ends - old_ends)])
    places = np.searchsorted(_keys(new.rows, new.begins), _keys(tags.rows, tags.begins))
    shift = growth[places] - growth[np.searchsorted(new.rows, tags.rows)]
    moved = tags._replace(begins=tags.begins + shift, ends=tags.ends + shift)
    shift = growth[:-1] - growth[np.searchsorted(new.rows, new.rows)]
    own = new._replace(begins=new.begins + shift, ends=new.ends + shift)
    joined = Tags(*(np.concatenate(pair) for pair in zip(moved, own, strict=True)))
    return joined.select(np.argsort(_keys(joined.rows, joined.begins)))


def moved_places(
    rows: NDArray[np.int64], places: NDArray[np.int64], new: Tags, old_ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Where bytes `places` of the `rows` stand after spans of the same texts became the tags `new`.

    As in `with_replaced`; a place inside of a span moves to the end of its tag.
    """
    if not len(new.rows):
        return places
    growth = np.concatenate([[0], np.cumsum(new.ends - old_ends)])
    number = np.searchsorted(_keys(new.rows, new.begins), _keys(rows, places))
    last = np.maximum(number - 1, 0)
    inside = (number > 0) & (new.rows[last] == rows) & (old_ends[last] > places)
    own = np.where(inside, old_ends[last], places)
    moved: NDArray[np.int64] = own + growth[number] - growth[np.searchsorted(new.rows, rows)]
    return moved


def _keys(rows: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
    keys: NDArray[np.int64] = (rows << _ROW_BITS) + places
    return keys
