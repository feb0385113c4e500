"""Control characters, line endings and blanks, in one pass over the bytes.

Line ends    CR LF, CR, VT, FF and NEL (U+0085) become LF.
Removed      the other C0 and C1 controls except tab, DEL, and U+FEFF (byte order mark).
Blanks       space and tab. At the end of a line they go; a run of two or more inside a line becomes
             one space; a single tab stays, so a tab-separated table survives. The blanks that a
             line begins with stay as they are: indentation is the syntax of Python code.
Blank lines  a run of line feeds becomes at most two; at the ends of the text they go.

Other Unicode spaces (U+00A0, U+2003, U+3000 ...) are text here; `unicode: NFKC` makes them spaces.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.text.buffers import strings, utf8

# A byte is plain, a blank (which matters beside another blank only), or an event.
_PLAIN, _BLANK, _NEWLINE, _RETURN, _CONTROL, _LEADS_C1, _LEADS_BOM = range(7)
_TAB, _LF, _SPACE = 9, 10, 32
_KEEP_NEWLINES = 2


def _byte_classes(*, collapse_whitespace: bool) -> NDArray[np.uint8]:
    classes = np.full(256, _PLAIN, np.uint8)
    classes[:0x20] = classes[0x7F] = _CONTROL
    classes[[_TAB, _SPACE]] = _BLANK if collapse_whitespace else _PLAIN
    classes[_LF] = _NEWLINE if collapse_whitespace else _PLAIN
    classes[[0x0B, 0x0C]] = _NEWLINE
    classes[0x0D] = _RETURN
    classes[0xC2] = _LEADS_C1  # U+0080..U+009F are C2 80..C2 9F
    classes[0xEF] = _LEADS_BOM  # U+FEFF is EF BB BF
    return classes


_CLASSES = {flag: _byte_classes(collapse_whitespace=flag) for flag in (True, False)}


class Tidied(NamedTuple):
    """The texts, and per row what was done to them."""

    texts: pa.StringArray
    num_control_removed: NDArray[np.int32]  # characters removed, or turned into a line feed
    whitespace_collapsed: NDArray[np.bool_]


def tidy(texts: pa.StringArray, *, collapse_whitespace: bool) -> Tidied:
    """Apply the rules above; without `collapse_whitespace` only those on line ends and controls.

    A batch in which no row changes is returned as it came. Idempotent.
    """
    offsets, data = utf8(texts)
    out = np.empty(int(offsets[-1] - offsets[0]), np.uint8)  # no rule makes a text longer
    out_offsets = np.zeros_like(offsets)
    num_control = np.zeros(len(texts), np.int32)
    collapsed = np.zeros(len(texts), np.bool_)
    classes = _CLASSES[collapse_whitespace]
    _tidy(offsets, data, classes, out, out_offsets, num_control, collapsed)
    if not (num_control.any() or collapsed.any()):
        return Tidied(texts, num_control, collapsed)
    return Tidied(strings(out_offsets, out[: out_offsets[-1]]), num_control, collapsed)


@njit(cache=True, nogil=True)
def _event(data, i, end, kind):  # type: ignore[no-untyped-def]
    """(class, bytes) of the character at i, whose first byte is of class `kind`."""
    if kind == _RETURN:
        followed = i + 1 < end and data[i + 1] == _LF
        return (_CONTROL, 1) if followed else (_NEWLINE, 1)
    if kind == _LEADS_C1:
        if data[i + 1] == 0x85:
            return _NEWLINE, 2
        return (_CONTROL, 2) if data[i + 1] < 0xA0 else (_PLAIN, 2)
    if kind == _LEADS_BOM:
        is_bom = data[i + 1] == 0xBB and data[i + 2] == 0xBF
        return (_CONTROL, 3) if is_bom else (_PLAIN, 3)
    return kind, 1


@njit(cache=True, nogil=True)
def _tidy(offsets, data, classes, out, out_offsets, num_control, collapsed):  # type: ignore[no-untyped-def]
    collapse = classes[_SPACE] == _BLANK
    w = 0
    for row in range(len(offsets) - 1):
        i, end = np.int64(offsets[row]), np.int64(offsets[row + 1])
        num_removed_bytes = 0
        row_begin = w
        text_end = w  # after the last byte that is neither blank nor line feed
        line_begin = w
        newlines = _KEEP_NEWLINES  # so that none is written before the first text
        indent, gap = True, 0  # only blanks so far on this line; the last byte written is a blank
        while i < end:
            while indent and i < end and classes[data[i]] == _BLANK:
                out[w] = data[i]
                w += 1
                i += 1
            begin = w
            while i < end:
                kind = classes[data[i]]
                if kind + (kind & gap) > _BLANK:  # an event, or a blank after a blank
                    break
                out[w] = data[i]
                gap = kind
                w += 1
                i += 1
            if w > begin:
                text_end = w - gap
                newlines, indent = 0, False
            if i == end:
                break
            kind, size = _event(data, i, end, classes[data[i]])
            if kind == _PLAIN:
                for k in range(size):
                    out[w + k] = data[i + k]
                w += size
                text_end = w
                newlines, indent, gap = 0, False, 0
            elif kind == _CONTROL:
                num_control[row] += 1
                num_removed_bytes += size
            elif kind == _NEWLINE:
                if data[i] != _LF:
                    num_control[row] += 1
                    num_removed_bytes += size - 1
                if collapse:
                    w = max(text_end, line_begin)
                if not collapse or newlines < _KEEP_NEWLINES:
                    out[w] = _LF
                    w += 1
                newlines += 1
                line_begin = w
                indent, gap = True, 0
            else:
                out[w - 1] = _SPACE
            i += size
        if collapse:
            w = text_end
        collapsed[row] = (w - row_begin) + num_removed_bytes < end - offsets[row]
        out_offsets[row + 1] = w
