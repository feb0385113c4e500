"""What a page says, read from what an HTML5 parser wrote of it.

So every tag is closed, attributes are quoted, and the only entities are `&amp; &lt; &gt; &nbsp;`.
Element kinds follow the user-agent style sheet of the HTML standard, section 15.3: which elements
are blocks, which keep their white space.
"""

import numpy as np
import pyarrow as pa
from numba import njit

from pipeline.text.buffers import strings, utf8
from pipeline.text.html.names import (
    FNV_BASIS,
    FNV_PRIME,
    GT,
    LT,
    SLASH,
    after,
    element_table,
    is_space,
    starts_with,
)

UNKNOWN, _INLINE, _LINE, _PARAGRAPH, _ROW, _CELL, _PREFORMATTED = range(7)
_ELEMENTS = {
    _INLINE: "a abbr b bdi bdo big cite code data del dfn em font i img ins kbd label mark q s samp"
    " script small span strike strong style sub sup time tt u var",
    _LINE: "body br caption center dd details dialog div dl dt fieldset form head html legend li"
    " menu ol option summary tbody tfoot thead ul",
    _PARAGRAPH: "address article aside blockquote figcaption figure footer h1 h2 h3 h4 h5 h6 header"
    " hgroup hr main nav p search section table",
    _ROW: "tr",
    _CELL: "td th",
    _PREFORMATTED: "listing pre textarea xmp",
}
_HASHES, _KINDS = element_table(
    {name: kind for kind, names in _ELEMENTS.items() for name in names.split()}
)
_SIZE = len(_HASHES)
_COMMENT, _COMMENT_END = (np.frombuffer(s, np.uint8) for s in (b"<!--", b"-->"))
_ENTITIES = tuple(np.frombuffer(s, np.uint8) for s in (b"&amp;", b"&lt;", b"&gt;", b"&nbsp;"))
_AMP_TEXT, _LT_TEXT, _GT_TEXT, _NBSP_TEXT = _ENTITIES
_AMP, _QUOTE, _EQUALS = (ord(c) for c in '&"=')
_TAB, _LF, _SPACE = 9, 10, 32


def rendered(pages: pa.StringArray) -> pa.StringArray:
    """The text of pages as a parser serialises them.

    White space is collapsed as in a browser, except in `<pre>` and its like. Blocks stand on lines
    of their own, paragraphs and headings between empty lines; the cells of a table row are
    separated by tabs. `&nbsp;` becomes U+00A0.
    """
    offsets, data = utf8(pages)
    out = np.empty(int(offsets[-1] - offsets[0]), np.uint8)  # a tag is longer than what replaces it
    out_offsets = np.zeros_like(offsets)
    _render(offsets, data, out, out_offsets)
    return strings(out_offsets, out[: out_offsets[-1]])


@njit(cache=True, nogil=True)
def element(data, i, end):  # type: ignore[no-untyped-def]
    """(kind, where the name ends) of the element name at i."""
    value = FNV_BASIS
    while i < end:
        byte = data[i]
        if 65 <= byte <= 90:
            byte += 32
        if not (97 <= byte <= 122 or 48 <= byte <= 57):
            break
        value = (value ^ np.uint64(byte)) * FNV_PRIME
        i += 1
    name = np.int64(value)
    slot = name % _SIZE
    return (_KINDS[slot] if _HASHES[slot] == name else UNKNOWN), i


@njit(cache=True, nogil=True)
def _tag_end(data, i, end):  # type: ignore[no-untyped-def]
    """Where the tag whose attributes begin at i ends; a `>` in a quoted value does not end it."""
    while i < end and data[i] != GT:
        if data[i] == _EQUALS and i + 1 < end and data[i + 1] == _QUOTE:
            i += 2
            while i < end and data[i] != _QUOTE:
                i += 1
        i += 1
    return min(i + 1, end)


@njit(cache=True, nogil=True)
def _character(data, i, end):  # type: ignore[no-untyped-def]
    """(first byte, second byte or 0, bytes read) of the text at i."""
    if data[i] == _AMP:
        if starts_with(data, i, end, _AMP_TEXT):
            return _AMP, 0, 5
        if starts_with(data, i, end, _LT_TEXT):
            return LT, 0, 4
        if starts_with(data, i, end, _GT_TEXT):
            return GT, 0, 4
        if starts_with(data, i, end, _NBSP_TEXT):
            return 0xC2, 0xA0, 6
    return np.int64(data[i]), 0, 1


@njit(cache=True, nogil=True)
def _render(offsets, data, out, out_offsets):  # type: ignore[no-untyped-def]
    w = 0
    for row in range(len(offsets) - 1):
        i, end = np.int64(offsets[row]), np.int64(offsets[row + 1])
        row_begin = w
        newlines, gap = 0, 0  # to be written before the next text
        num_preformatted = 0  # elements open that keep white space
        fresh = False  # in a cell that has no text yet: a block does not begin a line there
        num_cells = 0
        while i < end:
            if data[i] != LT:
                first, second, size = _character(data, i, end)
                i += size
                if num_preformatted == 0 and is_space(first):
                    gap = max(gap, _SPACE) if gap != _TAB else _TAB
                    continue
                if newlines > 0 and w > row_begin:
                    for _ in range(newlines):
                        out[w] = _LF
                        w += 1
                elif gap > 0 and w > row_begin:
                    out[w] = gap
                    w += 1
                newlines, gap, fresh = 0, 0, False
                out[w] = first
                w += 1
                if second:
                    out[w] = second
                    w += 1
                continue
            if starts_with(data, i, end, _COMMENT):
                i = after(data, i + 4, end, _COMMENT_END)
                continue
            closes = i + 1 < end and data[i + 1] == SLASH
            kind, i = element(data, i + 1 + closes, end)
            i = _tag_end(data, i, end)
            if kind == _PREFORMATTED:
                num_preformatted += -1 if closes else 1
                newlines = 2
            elif kind == _CELL and not closes:
                if num_cells > 0:
                    newlines, gap = 0, _TAB
                num_cells += 1
                fresh = True
            elif kind == _ROW:
                newlines, num_cells, fresh = max(newlines, 1), 0, False
            elif kind == _PARAGRAPH and not fresh:
                newlines = 2
            elif kind == _LINE and not fresh:
                newlines = max(newlines, 1)
        out_offsets[row + 1] = w
