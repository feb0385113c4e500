"""What stands beside new tags, cut out of the texts, so that what they lay bare is found there.

A judgement sees a few dozen bytes around a match. So after a round of replacements nothing can be
found but near the tags of that round, and however many rounds a text takes, its bytes are read a
bounded number of times.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.text.buffers import strings, utf8
from pipeline.text.pii.spans import Spans, rows_of

REACH_BYTES = 1024  # on either side of a new tag
# What is found closer to a cut than this could look otherwise in its text: a judgement sees less
EDGE_BYTES = 160


class Neighbourhoods(NamedTuple):
    """Parts of the texts with all tags in, the new ones, and where every byte stood before.

    Piece i is the bytes from `places[i]` to `places[i + 1]` of the data of `texts`; those of a tag
    come from nowhere (-1), others from `sources[i]` on.
    """

    texts: pa.StringArray
    new: NDArray[np.int64]  # (tags, 2): begin, end in the data of `texts`
    first: NDArray[np.int64]  # per part: where its own begins, which is away from cuts
    last: NDArray[np.int64]
    places: NDArray[np.int64]
    sources: NDArray[np.int64]

    def originals(self, found: Spans) -> Spans:
        """Of spans of `texts` those that touch no tag, and no cut, as they stood before."""
        part = rows_of(self.texts, found)
        piece = np.searchsorted(self.places, found.begins, side="right") - 1
        own = (
            (self.sources[piece] >= 0)
            & (found.ends <= self.places[piece + 1])
            & (found.begins >= self.first[part])
            & (found.ends <= self.last[part])
        )
        shift = (self.sources[piece] - self.places[piece])[own]
        begins, ends, which = (column[own] for column in found)
        return Spans(begins + shift, ends + shift, which)


def neighbourhoods(
    texts: pa.StringArray, spans: Spans, is_new: NDArray[np.bool_], written: pa.StringArray
) -> Neighbourhoods:
    """What stands around the new ones of `spans`, each replaced by `written` of its recogniser."""
    offsets, data = utf8(texts)
    tag_offsets, tags = utf8(written)
    sizes = np.diff(tag_offsets).astype(np.int64)[spans.recognizers]
    rows = rows_of(texts, spans)
    bounds = np.stack([offsets[rows], offsets[rows + 1]], axis=1).astype(np.int64)
    parts = _parts(spans.begins, spans.ends, sizes, bounds, np.flatnonzero(is_new))
    size = int((parts[:, 1] - parts[:, 0]).sum() + sizes.sum())
    out, out_offsets = np.empty(size, np.uint8), np.zeros(len(parts) + 1, np.int32)
    places = np.empty(2 * len(rows) + len(parts) + 1, np.int64)
    sources, new = np.empty_like(places), np.empty((int(is_new.sum()), 2), np.int64)
    num = _fill(
        data, spans.begins, spans.ends, tag_offsets.astype(np.int64)[spans.recognizers], tags,
        sizes, is_new, parts, out, out_offsets, places, sources, new,
    )  # fmt: skip
    ends = out_offsets.astype(np.int64)
    first = ends[:-1] + np.where(parts[:, 2], EDGE_BYTES, 0)
    last = ends[1:] - np.where(parts[:, 3], EDGE_BYTES, 0)
    cut = strings(out_offsets, out[: out_offsets[-1]])
    return Neighbourhoods(cut, new, first, last, places[: num + 1], sources[:num])


@njit(cache=True, nogil=True)
def _parts(begins, ends, sizes, bounds, new):  # type: ignore[no-untyped-def]
    """(n, 4): begin and end of each part of the data, and whether its row goes on there."""
    parts = np.empty((len(new), 4), np.int64)
    num_parts = 0
    for i in new:
        row_begin, row_end = bounds[i]
        begin = _left(begins, ends, sizes, i, row_begin)
        end = _right(begins, ends, sizes, i, row_end)
        if num_parts and parts[num_parts - 1, 1] >= begin and parts[num_parts - 1, 0] >= row_begin:
            num_parts -= 1  # the same row's: they are one
        else:
            parts[num_parts, 0] = begin
        parts[num_parts, 1] = end
        parts[num_parts, 2] = parts[num_parts, 0] > row_begin
        parts[num_parts, 3] = end < row_end
        num_parts += 1
    return parts[:num_parts]


@njit(cache=True, nogil=True)
def _left(begins, ends, sizes, i, row_begin):  # type: ignore[no-untyped-def]
    """Where the bytes begin that stand before span i, tags counting as long as they are."""
    room, place = REACH_BYTES, begins[i]
    while True:
        i -= 1
        stop = max(row_begin, ends[i]) if i >= 0 else row_begin
        if place - stop >= room or i < 0 or ends[i] <= row_begin:
            return max(place - room, stop)
        room -= place - stop + sizes[i]
        place = begins[i]
        if room <= 0:
            return place


@njit(cache=True, nogil=True)
def _right(begins, ends, sizes, i, row_end):  # type: ignore[no-untyped-def]
    room, place = REACH_BYTES, ends[i]
    while True:
        i += 1
        stop = min(row_end, begins[i]) if i < len(begins) else row_end
        if stop - place >= room or i == len(begins) or begins[i] >= row_end:
            return min(place + room, stop)
        room -= stop - place + sizes[i]
        place = ends[i]
        if room <= 0:
            return place


@njit(cache=True, nogil=True)
def _fill(  # type: ignore[no-untyped-def]
    data, begins, ends, tag_begins, tags, sizes, is_new, parts, out, out_offsets, places, sources,
    new,
):  # fmt: skip
    """How many pieces there are."""
    span, num, w, num_new = 0, 0, 0, 0
    for part in range(len(parts)):
        i, part_end = parts[part, 0], parts[part, 1]
        while span < len(begins) and begins[span] < i:
            span += 1
        while True:
            stop = begins[span] if span < len(begins) and begins[span] < part_end else part_end
            places[num], sources[num] = w, i
            num += 1
            out[w : w + stop - i] = data[i:stop]
            w += stop - i
            if stop == part_end:
                break
            places[num], sources[num] = w, -1
            num += 1
            size = sizes[span]
            out[w : w + size] = tags[tag_begins[span] : tag_begins[span] + size]
            if is_new[span]:
                new[num_new, 0], new[num_new, 1] = w, w + size
                num_new += 1
            w += size
            i = ends[span]
            span += 1
        out_offsets[part + 1] = w
    places[num] = w
    return num
