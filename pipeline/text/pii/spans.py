"""Spans of a string array: found in windows, freed of overlaps, replaced by splicing buffers."""

import bisect
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.text.buffers import MAX_ARRAY_BYTES, strings, utf8
from pipeline.text.pii.recognizer import Recognizer
from pipeline.text.pii.triggers import (
    BEGIN,
    END,
    KINDS,
    LEAD_BYTES,
    MARGIN_BEGIN,
    MARGIN_END,
    find_windows,
)

_LF = 10


class Spans(NamedTuple):
    """Byte ranges of a string array's data buffer, sorted by begin, none overlapping."""

    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    recognizers: NDArray[np.int64]  # which of the recognisers found it


def find_spans(texts: pa.StringArray, recognizers: Sequence[Recognizer]) -> Spans:
    """Everything that the recognisers accept; where two overlap, the longer stays, then the earlier
    in `recognizers`, then the earlier in the text."""
    _, data = utf8(texts)
    windows = find_windows(texts)
    found = [_find(data, windows, recognizer) for recognizer in recognizers]
    which = np.repeat(np.arange(len(found)), [len(spans) for spans in found])
    spans = np.concatenate(found) if found else np.empty((0, 2), np.int64)
    order = np.lexsort((which, spans[:, 0]))
    begins, ends, which = spans[order, 0], spans[order, 1], which[order]
    if (begins[1:] < ends[:-1]).any():
        keep = _without_overlaps(begins, ends, which)
        begins, ends, which = begins[keep], ends[keep], which[keep]
    return Spans(begins, ends, which)


def replace_spans(
    texts: pa.StringArray, spans: Spans, replacements: pa.StringArray
) -> pa.StringArray:
    """`texts` with span i replaced by `replacements[i]`; the other bytes are copied as they are."""
    offsets, data = utf8(texts)
    new_offsets, new_data = utf8(replacements)
    size = int(offsets[-1] - offsets[0]) - int((spans.ends - spans.begins).sum())
    size += int(new_offsets[-1] - new_offsets[0])
    assert size <= MAX_ARRAY_BYTES, f"a batch of {size} bytes does not fit a string array"
    out, out_offsets = np.empty(size, np.uint8), np.zeros_like(offsets)
    _splice(offsets, data, spans.begins, spans.ends, new_offsets, new_data, out, out_offsets)
    return strings(out_offsets, out)


def rows_of(texts: pa.StringArray, spans: Spans) -> NDArray[np.int64]:
    """The row that each span lies in."""
    rows: NDArray[np.int64] = np.searchsorted(utf8(texts).offsets, spans.begins, side="right") - 1
    return rows


def _find(
    data: NDArray[np.uint8], windows: NDArray[np.int64], recognizer: Recognizer
) -> NDArray[np.int64]:
    """The (begin, end) of what one recogniser accepts.

    Its windows are laid end to end, a line feed after each, so that one regex call reads them all;
    a match that begins in the margin of its window is not of that window.
    """
    windows = windows[windows[:, KINDS] & recognizer.trigger != 0]
    if not len(windows):
        return np.empty((0, 2), np.int64)
    places = np.zeros(len(windows) + 1, np.int64)
    np.cumsum(windows[:, MARGIN_END] - windows[:, MARGIN_BEGIN] + 1, out=places[1:])
    text = np.full(places[-1], _LF, np.uint8)
    _gather(data, windows, places, text)
    spans = np.array(recognizer.find(text.tobytes()), np.int64).reshape(-1, 2)
    window = np.searchsorted(places, spans[:, 0], side="right") - 1
    spans += (windows[window, MARGIN_BEGIN] - places[window])[:, None]
    inside = spans[:, 0] >= windows[window, BEGIN] - LEAD_BYTES
    inside &= spans[:, 0] < windows[window, END]
    own: NDArray[np.int64] = spans[inside]
    return own


def _without_overlaps(
    begins: NDArray[np.int64], ends: NDArray[np.int64], which: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Indices to keep, ascending. It looks at spans, of which there are few, not at rows."""
    kept_begins: list[int] = []
    kept: list[int] = []
    order: list[int] = np.lexsort((begins, which, begins - ends)).tolist()
    for index in order:
        place = bisect.bisect_right(kept_begins, begins[index])
        clear_before = place == 0 or ends[kept[place - 1]] <= begins[index]
        clear_after = place == len(kept) or ends[index] <= kept_begins[place]
        if clear_before and clear_after:
            kept_begins.insert(place, int(begins[index]))
            kept.insert(place, index)
    return np.array(kept, np.int64)


@njit(cache=True, nogil=True)
def _gather(data, windows, places, text):  # type: ignore[no-untyped-def]
    for i in range(len(windows)):
        begin, end = windows[i, MARGIN_BEGIN], windows[i, MARGIN_END]
        text[places[i] : places[i] + end - begin] = data[begin:end]


@njit(cache=True, nogil=True)
def _splice(offsets, data, begins, ends, new_offsets, new_data, out, out_offsets):  # type: ignore[no-untyped-def]
    span, w = 0, np.int64(0)
    for row in range(len(offsets) - 1):
        i, row_end = np.int64(offsets[row]), np.int64(offsets[row + 1])
        while span < len(begins) and begins[span] < row_end:
            w = _copy(data, i, begins[span], out, w)
            w = _copy(new_data, new_offsets[span], new_offsets[span + 1], out, w)
            i = ends[span]
            span += 1
        w = _copy(data, i, row_end, out, w)
        out_offsets[row + 1] = w


@njit(cache=True, nogil=True)
def _copy(source, begin, end, out, w):  # type: ignore[no-untyped-def]
    """Where the bytes end that are copied to w."""
    out[w : w + end - begin] = source[begin:end]
    return w + end - begin
