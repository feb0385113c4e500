"""Compiled loops that cut spans out of texts, at whole words and characters.

They call two loops of `kernels`; numba's on-disk cache does not see a change of these, so delete it
after one.
"""

import numpy as np

from filters.kernels.compiled import kernel
from pipeline.dedup.words import ALONE, IGNORED, SEPARATOR
from pipeline.edits.kernels import Index, folded_at, is_blank

_ALONE, _IGNORED, _SEPARATOR = np.uint32(ALONE), np.uint32(IGNORED), np.uint32(SEPARATOR)
_LF, _SPACE, _TAB = 10, 32, 9


@kernel
def _ends_word(data: np.ndarray, start: Index, at: Index, table: np.ndarray) -> bool:
    """Whether the character before `at` is one of a word that could go on; passes over ignored."""
    while at > start:
        begin = at - 1
        while begin > start and data[begin] & 0xC0 == 0x80:
            begin -= 1
        folded, _ = folded_at(data, begin, table)
        if folded != _IGNORED:
            return bool(folded != _SEPARATOR and folded < _ALONE)
        at = begin
    return False


@kernel
def _begins_word(data: np.ndarray, at: Index, stop: Index, table: np.ndarray) -> bool:
    while at < stop:
        folded, at = folded_at(data, at, table)
        if folded != _IGNORED:
            return bool(folded != _SEPARATOR and folded < _ALONE)
    return False


@kernel
def _past_marks(data: np.ndarray, at: Index, stop: Index, marks: np.ndarray) -> Index:
    """Where the combining marks at `at` end: they belong to the letter before."""
    while at < stop:
        is_mark, following = folded_at(data, at, marks)
        if not is_mark:
            break
        at = following
    return at


@kernel
def _tidy(data: np.ndarray, low: Index, high: Index, a: Index, b: Index) -> tuple[Index, Index]:
    """The cut a:b of data[low:high], grown over the white space that would be too much."""
    if a == low or data[a - 1] == _LF or data[a - 1] == _SPACE or data[a - 1] == _TAB:
        while b < high and (data[b] == _SPACE or data[b] == _TAB):
            b += 1
    if b < high and data[b] != _LF:
        return a, b
    while a > low and (data[a - 1] == _SPACE or data[a - 1] == _TAB):
        a -= 1
    if a > low and data[a - 1] != _LF:
        return a, b
    before, after = 0, 0
    while a - before > low and data[a - before - 1] == _LF:
        before += 1
    while b + after < high and data[b + after] == _LF:
        after += 1
    if a - before == low:
        return low, b + after  # nothing before it
    if b + after == high:
        return a - before, b  # nothing after it
    return a, b + min(before, after)


@kernel
def _has_word(data: np.ndarray, at: Index, stop: Index, table: np.ndarray) -> bool:
    while at < stop:
        folded, at = folded_at(data, at, table)
        if folded != _IGNORED and folded != _SEPARATOR:
            return True
    return False


@kernel
def cut_texts(
    data: np.ndarray,
    bounds: np.ndarray,
    table: np.ndarray,
    marks: np.ndarray,
    rows: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
    out: np.ndarray,
    out_bounds: np.ndarray,
) -> None:
    """Copy the texts without the spans, which are sorted by (row, start) and may overlap."""
    used: Index = 0
    span = 0
    for i in range(len(bounds) - 1):
        low, high = np.int64(bounds[i]), np.int64(bounds[i + 1])
        at: Index = low
        while span < len(rows) and rows[span] == i:
            a: Index = low + starts[span]
            b: Index = low + stops[span]
            span += 1
            while span < len(rows) and rows[span] == i:
                between: Index = b
                while between < low + starts[span] and is_blank(data[between]):
                    between += 1
                if between < low + starts[span]:
                    break
                b = max(b, low + stops[span])
                span += 1
            a = _past_marks(data, a, b, marks) if a > low else a
            b = _past_marks(data, b, high, marks)
            a, b = _tidy(data, low, high, a, b)
            a, b = max(a, at), max(b, at)  # what was cut before may reach into this one
            out[used : used + a - at] = data[at:a]
            used += a - at
            if _ends_word(data, low, a, table) and _begins_word(data, b, high, table):
                out[used] = _SPACE  # two words must not become one
                used += 1
            at = b
        out[used : used + high - at] = data[at:high]
        used += high - at
        begin = np.int64(out_bounds[i])
        if at > low and not _has_word(out, begin, used, table):
            used = begin  # marks of a list, rules and the like: nothing is left
        out_bounds[i + 1] = used
