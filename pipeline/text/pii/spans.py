"""Spans of a string array: found in windows, freed of overlaps, replaced by splicing buffers."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.text.buffers import MAX_ARRAY_BYTES, strings, utf8
from pipeline.text.pii.recognizer import Recognizer, Span, Starts
from pipeline.text.pii.triggers import find_windows
from pipeline.text.pii.windows import BEGIN, END, MARGIN_BEGIN, MARGIN_END

# Between windows: 0xFF stands in no UTF-8, so that no pattern can go from one into the next, and
# the line feeds end what a judgement looks at.
_BETWEEN = np.frombuffer(b"\n\xff\n", np.uint8)
_BEGINS, _GOES_ON = 1, 2  # of a byte: a match may begin with it; none begins after it


class Spans(NamedTuple):
    """Byte ranges of a string array's data buffer, sorted by begin, none overlapping."""

    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    recognizers: NDArray[np.int64]  # which of the recognisers found it


def find_spans(
    texts: pa.StringArray,
    recognizers: Sequence[Recognizer],
    more: Sequence[NDArray[np.int64]] = (),
    near: NDArray[np.int64] | None = None,
) -> Spans:
    """Everything that the recognisers accept; where two overlap, the longer stays, then the earlier
    in `recognizers`, then the earlier in the text.

    `more` holds (begin, end) that others found, which count as further recognisers. `near` holds
    (begin, end) of the data, sorted and clear of each other: of the windows, those that touch none
    of them are not read.
    """
    found = [*_find(texts, recognizers, near), *more]
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
    texts: pa.StringArray,
    recognizers: Sequence[Recognizer],
    near: NDArray[np.int64] | None,
) -> list[NDArray[np.int64]]:
    """The (begin, end) of what each recogniser accepts."""
    _, data = utf8(texts)
    triggers = tuple(dict.fromkeys(recognizer.trigger for recognizer in recognizers))
    windows = find_windows(texts, triggers)
    if near is not None:
        windows = [each[_touch(each, near)] for each in windows]
    read = {
        trigger: _Windows(data, each)
        for trigger, each in zip(triggers, windows, strict=True)
        if len(each)
    }
    none = np.empty((0, 2), np.int64)
    return [read[r.trigger].find(r) if r.trigger in read else none for r in recognizers]


def _touch(windows: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.bool_]:
    first = np.searchsorted(places[:, 1], windows[:, MARGIN_BEGIN])
    begins = np.append(places[:, 0], np.iinfo(np.int64).max)
    touch: NDArray[np.bool_] = begins[first] <= windows[:, MARGIN_END]
    return touch


class _Windows:
    """The windows of one trigger, laid end to end, so that one regex call reads them all.

    Those that overlap share their bytes, so what is read is never more than the text.
    """

    def __init__(self, data: NDArray[np.uint8], windows: NDArray[np.int64]) -> None:
        self._windows = windows[np.lexsort((windows[:, BEGIN], windows[:, MARGIN_BEGIN]))]
        self._places = np.empty(len(windows), np.int64)
        size = _lay_out(self._windows, self._places, len(_BETWEEN))
        self._bytes = np.empty(size, np.uint8)
        _gather(data, self._windows, _BETWEEN, self._bytes)
        self._text = bytearray(self._bytes)
        self._ends = np.maximum.accumulate(self._windows[:, END])

    def find(self, recognizer: Recognizer) -> NDArray[np.int64]:
        """The (begin, end) in the data of what the recogniser accepts, in their own windows."""
        if recognizer.starts is None:
            return self._own(self._moved(recognizer.find_in(self._text)))
        table = _table(recognizer.starts)
        places = _starts(self._bytes, self._windows, self._places, table)
        return self._moved(recognizer.find_at(self._text, places.tolist()))

    def _moved(self, spans: Sequence[Span]) -> NDArray[np.int64]:
        """Spans of the laid out text as those of the data."""
        own = np.array(spans, np.int64).reshape(-1, 2)
        window = np.searchsorted(self._places, own[:, 0], side="right") - 1
        shift = self._windows[window, MARGIN_BEGIN] - self._places[window]
        moved: NDArray[np.int64] = own + shift[:, None]
        return moved

    def _own(self, spans: NDArray[np.int64]) -> NDArray[np.int64]:
        """A match that begins in the margin of its window is not of that window."""
        window = np.searchsorted(self._windows[:, BEGIN], spans[:, 0], side="right") - 1
        own: NDArray[np.int64] = spans[(window >= 0) & (spans[:, 0] < self._ends[window])]
        return own


@functools.lru_cache(maxsize=256)
def _table(starts: Starts) -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    table[list(starts.first)] |= _BEGINS
    table[list(starts.not_after)] |= _GOES_ON
    return table


def _without_overlaps(
    begins: NDArray[np.int64], ends: NDArray[np.int64], which: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Indices to keep, ascending."""
    order = np.lexsort((begins, which, begins - ends))
    return np.flatnonzero(_kept(begins, ends, order))


@njit(cache=True, nogil=True)
def _kept(begins, ends, order):  # type: ignore[no-untyped-def]
    """Which of the spans stay, of all that overlap the first in `order`, by length.

    A span that stays is no shorter than one that it overlaps, so it covers that one's first or last
    byte: two looks at a map of the bytes, whatever the number of spans.
    """
    kept = np.zeros(len(begins), np.bool_)
    first = begins.min()
    covered = np.zeros(ends.max() - first, np.bool_)
    for index in order:
        begin, end = begins[index] - first, ends[index] - first
        if not (covered[begin] or covered[end - 1]):
            covered[begin:end] = True
            kept[index] = True
    return kept


@njit(cache=True, nogil=True)
def _lay_out(windows, places, num_between):  # type: ignore[no-untyped-def]
    """Fill in where each window begins; returned is where the last ends."""
    size, end = 0, -1  # end of the last bytes taken, in the data
    for i in range(len(windows)):
        begin = windows[i, MARGIN_BEGIN]
        if begin >= end:  # of rows side by side one ends where the other begins
            places[i] = size
            end = windows[i, MARGIN_END]
            size += end - begin + num_between
        else:
            places[i] = size - num_between - (end - begin)
            if windows[i, MARGIN_END] > end:
                size += windows[i, MARGIN_END] - end
                end = windows[i, MARGIN_END]
    return size


@njit(cache=True, nogil=True)
def _gather(data, windows, between, text):  # type: ignore[no-untyped-def]
    end, size = -1, 0
    for i in range(len(windows)):
        begin, margin_end = windows[i, MARGIN_BEGIN], windows[i, MARGIN_END]
        if begin >= end and i > 0:
            text[size : size + len(between)] = between
            size += len(between)
        begin = max(begin, end)  # what is there already
        if margin_end > begin:
            text[size : size + margin_end - begin] = data[begin:margin_end]
            size += margin_end - begin
            end = margin_end
    text[size:] = between


@njit(cache=True, nogil=True)
def _starts(text, windows, places, table):  # type: ignore[no-untyped-def]
    """The places of the text where a match can begin, ascending."""
    found = np.empty(len(text), np.int64)
    num_found, last = 0, 0
    for i in range(len(windows)):
        shift = windows[i, MARGIN_BEGIN] - places[i]
        begin = max(windows[i, BEGIN], windows[i, MARGIN_BEGIN]) - shift
        begin = max(begin, last)
        end = min(windows[i, END], windows[i, MARGIN_END]) - shift
        goes_on = begin > 0 and table[text[begin - 1]] & _GOES_ON != 0
        for place in range(begin, end):
            kind = table[text[place]]
            if kind & _BEGINS and not goes_on:
                found[num_found] = place
                num_found += 1
            goes_on = kind & _GOES_ON != 0
        last = max(last, end)
    return found[:num_found]


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
