"""Control and invisible characters, line endings and blanks, in one pass over the bytes.

Line ends    CR LF, CR, VT, FF, NEL (U+0085) and the line and paragraph separators (U+2028, U+2029)
             become LF.
Removed      the other C0 and C1 controls except tab, DEL, U+FEFF (byte order mark), U+FFF9..U+FFFC
             (annotation marks, the place of an object). Without `remove_controls`, only U+0000 and
             byte order marks at the beginning; and only CR LF and CR become LF.
Invisible    soft hyphen, zero-width space and joiners, marks, embeddings and isolates of writing
             direction (U+00AD, U+061C, U+200B..U+200F, U+202A..U+202E, U+2060..U+206F) and tags
             (U+E0000..U+E007F) go where they say nothing. What is part of the spelling stays: a
             joiner after a character of U+0600 or above (Arabic, Indic scripts, emoji), a
             zero-width space after Thai, Lao, Burmese or Khmer, which it parts into words, and the
             tags of the flags of England, Scotland and Wales, the only ones in Unicode's list of
             emoji (any others may hold text that nobody sees). A soft hyphen at the end of a line
             is printed: after a character, it becomes a hyphen.
Blanks       space and tab. At the end of a line they go, and so do a table's last cells if empty. A
             run inside a line becomes its tabs, so that empty cells stay, or one space where it has
             none. The blanks that a line begins with stay as they are: indentation is the syntax of
             Python code.
Blank lines  a run of line feeds becomes at most two; at the ends of the text they go.

Other Unicode spaces (U+00A0, U+2003, U+3000 ...) are text here; `unicode: NFKC` makes them spaces.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.text.buffers import strings, utf8

# A byte is plain, a blank (which matters beside another blank only), or an event: a line end, a
# control, or the first byte of some characters that are.
_PLAIN, _BLANK, _NEWLINE, _RETURN, _CONTROL, _LEADS, _INVISIBLE, _HYPHEN = range(8)
_TAB, _LF, _CR, _SPACE = 9, 10, 13, 32
_KEEP_NEWLINES = 2
_INVISIBLE_LEAD_BYTES = (0xC2, 0xD8, 0xE2, 0xF3)  # of U+00AD, U+061C, U+2000..U+2FFF, the tags
_FLAG = np.frombuffer("\U0001f3f4".encode(), np.uint8)
_FLAG_TAGS = np.array(
    [
        list("".join(chr(0xE0000 + ord(letter)) for letter in f"{place}\x7f").encode())
        for place in ("gbeng", "gbsct", "gbwls")
    ],
    np.uint8,
)


def _byte_classes(
    *, collapse_whitespace: bool, remove_invisible: bool, remove_controls: bool
) -> NDArray[np.uint8]:
    classes = np.full(256, _PLAIN, np.uint8)
    classes[0] = _CONTROL
    if remove_controls:
        classes[:0x20] = classes[0x7F] = _CONTROL
    classes[[_TAB, _SPACE]] = _BLANK if collapse_whitespace else _PLAIN
    classes[_LF] = _NEWLINE if collapse_whitespace else _PLAIN
    classes[0x0D] = _RETURN
    classes[0xEF] = _LEADS
    if remove_controls:
        classes[[0x0B, 0x0C]] = _NEWLINE
        classes[[0xC2, 0xE2]] = _LEADS
    if remove_invisible:
        classes[list(_INVISIBLE_LEAD_BYTES)] = _LEADS
    return classes


class Tidied(NamedTuple):
    """The texts, and per row what was done to them."""

    texts: pa.StringArray
    num_control_removed: NDArray[np.int32]  # characters
    num_line_ends_changed: NDArray[np.int32]  # into a line feed
    num_invisible_removed: NDArray[np.int32]  # characters
    whitespace_collapsed: NDArray[np.bool_]


def tidy(
    texts: pa.StringArray,
    *,
    collapse_whitespace: bool,
    remove_invisible: bool,
    remove_controls: bool = True,
) -> Tidied:
    """Apply the rules above; without `collapse_whitespace` not those on blanks and blank lines.

    A batch in which no row changes is returned as it came. Idempotent.
    """
    offsets, data = utf8(texts)
    out = np.empty(int(offsets[-1] - offsets[0]), np.uint8)  # no rule makes a text longer
    out_offsets = np.zeros_like(offsets)
    counts = np.zeros((4, len(texts)), np.int32)
    classes = _byte_classes(
        collapse_whitespace=collapse_whitespace,
        remove_invisible=remove_invisible,
        remove_controls=remove_controls,
    )
    rules = (classes, _FLAG, _FLAG_TAGS, remove_invisible, remove_controls)
    _tidy(offsets, data, rules, out, out_offsets, counts)
    result = strings(out_offsets, out[: out_offsets[-1]]) if counts.any() else texts
    return Tidied(result, counts[0], counts[1], counts[2], counts[3] > 0)


@njit(cache=True, nogil=True)
def _is_line_end(data, i, end):  # type: ignore[no-untyped-def]
    """Whether one of the line ends begins at i."""
    if i >= end:
        return False
    if data[i] == 0xC2:
        return data[i + 1] == 0x85
    if data[i] == 0xE2:
        return data[i + 1] == 0x80 and (data[i + 2] == 0xA8 or data[i + 2] == 0xA9)
    return _LF <= data[i] <= _CR


@njit(cache=True, nogil=True)
def _is_printed(data, i, end, out, begin, w):  # type: ignore[no-untyped-def]
    """Whether a soft hyphen is shown, after `out[begin:w]` and before `data[i:end]`: at the end of
    a line, and not after a blank or another hyphen."""
    while i < end and (data[i] == _SPACE or data[i] == _TAB):
        i += 1
    if not _is_line_end(data, i, end) or w == begin:
        return False
    if w >= begin + 3 and out[w - 3] == 0xE2 and out[w - 2] == 0x80 and out[w - 1] == 0x90:
        return False  # U+2010
    return out[w - 1] > _SPACE and out[w - 1] != ord("-")


@njit(cache=True, nogil=True)
def _event(data, i, end, kind, remove_invisible, remove_controls, is_first):  # type: ignore[no-untyped-def]
    """(class, bytes) of the character at i, whose first byte is of class `kind`; `is_first`: no
    character of its text stays before it."""
    if kind == _RETURN:
        # of CR LF the CR goes and the LF stays
        return _RETURN if i + 1 < end and data[i + 1] == _LF else _NEWLINE, 1
    if kind != _LEADS:
        return kind, 1
    first, second = data[i], data[i + 1]
    if first == 0xC2:
        if second == 0xAD and remove_invisible:
            return _HYPHEN, 2
        if second >= 0xA0 or not remove_controls:
            return _PLAIN, 2
        return _NEWLINE if second == 0x85 else _CONTROL, 2
    if first == 0xD8:
        return _INVISIBLE if second == 0x9C else _PLAIN, 2
    third = data[i + 2]
    if first == 0xE2:
        if second == 0x80 and (third == 0xA8 or third == 0xA9):
            return _NEWLINE if remove_controls else _PLAIN, 3
        invisible = second == 0x80 and (0x8B <= third <= 0x8F or 0xAA <= third <= 0xAE)
        invisible |= second == 0x81 and third >= 0xA0
        return _INVISIBLE if invisible and remove_invisible else _PLAIN, 3
    if first == 0xEF:
        is_control = second == 0xBB and third == 0xBF
        is_control &= remove_controls or is_first
        is_control |= remove_controls and second == 0xBF and 0xB9 <= third <= 0xBC
        return _CONTROL if is_control else _PLAIN, 3
    is_tag = second == 0xA0 and third in (0x80, 0x81)
    return _INVISIBLE if is_tag else _PLAIN, 4


@njit(cache=True, nogil=True)
def _flag_size(data, i, end, tags):  # type: ignore[no-untyped-def]
    """Bytes of the tags at i if they are those of a flag, else 0."""
    size = tags.shape[1]
    for flag in range(len(tags)):
        if i + size <= end and np.array_equal(data[i : i + size], tags[flag]):
            return size
    return 0


@njit(cache=True, nogil=True)
def _is_spelling(data, i, out, begin, w):  # type: ignore[no-untyped-def]
    """Whether the zero-width character at i belongs where it is, after `out[begin:w]`."""
    last = w - 1
    while last > begin and out[last] & 0xC0 == 0x80:
        last -= 1
    if w == begin or out[last] < 0xD8:  # below U+0600
        return False
    if data[i] != 0xE2 or data[i + 1] != 0x80:
        return False
    if data[i + 2] == 0x8B:  # zero-width space
        first, second = out[last], out[last + 1]
        is_thai_or_lao = first == 0xE0 and 0xB8 <= second <= 0xBB
        is_burmese_or_khmer = first == 0xE1 and (0x80 <= second <= 0x82 or 0x9E <= second <= 0x9F)
        return is_thai_or_lao or is_burmese_or_khmer
    is_joiner = data[i + 2] == 0x8C or data[i + 2] == 0x8D
    is_after_punctuation = out[last] == 0xE2 and out[last + 1] in (0x80, 0x81)
    return is_joiner and not is_after_punctuation


@njit(cache=True, nogil=True)
def _tidy(offsets, data, rules, out, out_offsets, counts):  # type: ignore[no-untyped-def]
    classes, flag, flag_tags, remove_invisible, remove_controls = rules
    num_control, num_line_ends, num_invisible, collapsed = counts
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
            kind, size = _event(
                data, i, end, classes[data[i]], remove_invisible, remove_controls, w == row_begin
            )
            if kind == _HYPHEN and not _is_printed(data, i + size, end, out, row_begin, w):
                kind = _INVISIBLE
            elif kind == _INVISIBLE and data[i] == 0xF3:
                is_after_flag = w - row_begin >= 4 and np.array_equal(out[w - 4 : w], flag)
                num_bytes = _flag_size(data, i, end, flag_tags) if is_after_flag else 0
                if num_bytes:
                    kind, size = _PLAIN, num_bytes
            elif kind == _INVISIBLE and _is_spelling(data, i, out, row_begin, w):
                kind = _PLAIN
            if kind == _PLAIN:
                for k in range(size):
                    out[w + k] = data[i + k]
                w += size
                text_end = w
                newlines, indent, gap = 0, False, 0
            elif kind == _NEWLINE:
                if data[i] != _LF:
                    num_line_ends[row] += 1
                    num_removed_bytes += size - 1
                if collapse:
                    w = max(text_end, line_begin)
                if not collapse or newlines < _KEEP_NEWLINES:
                    out[w] = _LF
                    w += 1
                newlines += 1
                line_begin = w
                indent, gap = True, 0
            elif kind == _BLANK:
                if data[i] == _TAB:
                    w += out[w - 1] == _TAB
                    out[w - 1] = _TAB
            elif kind == _HYPHEN:
                out[w] = ord("-")
                w += 1
                text_end = w
                newlines, indent, gap = 0, False, 0
                num_invisible[row] += 1
                num_removed_bytes += size - 1
            else:
                num_removed_bytes += size
                if kind == _RETURN:
                    num_line_ends[row] += 1
                elif kind == _CONTROL:
                    num_control[row] += 1
                else:
                    num_invisible[row] += 1
            i += size
        if collapse:
            w = text_end
        collapsed[row] = (w - row_begin) + num_removed_bytes < end - offsets[row]
        out_offsets[row + 1] = w
