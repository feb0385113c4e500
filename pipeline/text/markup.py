"""Kernels on HTML: is this text a page, and what does a well-formed page say?

`looks_like_html` decides by how a text begins and ends, not by how many tags it has: among the
mixed documents of the development corpus (118,000 of prose, code and manual pages) test files for
HTML libraries have up to 1.2 closing tags per 100 characters, as many as many a real page.

`rendered` reads what an HTML5 parser wrote, so every tag is closed, attributes are quoted, and the
only entities are `&amp; &lt; &gt; &nbsp;`. Element kinds follow the user-agent style sheet of the
HTML standard, section 15.3: which elements are blocks, which keep their white space.
"""

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.text.buffers import strings, utf8

_UNKNOWN, _INLINE, _LINE, _PARAGRAPH, _ROW, _CELL, _PREFORMATTED = range(7)
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
_SLOTS = 730  # the smallest table in which no two names share a slot
_FNV_BASIS, _FNV_PRIME, _MASK = 2166136261, 16777619, 0xFFFFFFFF  # FNV-1a, 32 bits

_AMP, _LT, _GT, _SLASH, _QUOTE, _EQUALS = (ord(c) for c in '&<>/"=')
_TAB, _LF, _SPACE = 9, 10, 32


def _name_hash(name: str) -> int:
    value = _FNV_BASIS
    for byte in name.encode():
        value = ((value ^ byte) * _FNV_PRIME) & _MASK
    return value


def _element_table() -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """(hash, kind) of each name, at its hash modulo `_SLOTS`."""
    hashes, kinds = np.zeros(_SLOTS, np.int64), np.zeros(_SLOTS, np.uint8)
    for kind, names in _ELEMENTS.items():
        for value in map(_name_hash, names.split()):
            assert hashes[value % _SLOTS] == 0, "two element names share a slot"
            hashes[value % _SLOTS], kinds[value % _SLOTS] = value, kind
    return hashes, kinds


_HASHES, _KINDS = _element_table()
_COMMENT, _XML, _DOCTYPE = (
    np.frombuffer(s, np.uint8) for s in (b"<!--", b"<?xml", b"<!doctype html")
)
_HTML, _HEAD, _BODY = (np.frombuffer(s, np.uint8) for s in (b"<html", b"<head", b"<body"))
_COMMENT_END, _XML_END = (np.frombuffer(s, np.uint8) for s in (b"-->", b"?>"))
_ENTITIES = tuple(np.frombuffer(s, np.uint8) for s in (b"&amp;", b"&lt;", b"&gt;", b"&nbsp;"))
_AMP_TEXT, _LT_TEXT, _GT_TEXT, _NBSP_TEXT = _ENTITIES


def looks_like_html(texts: pa.StringArray) -> NDArray[np.bool_]:
    """True where, after white space, comments and an XML declaration, a text begins with
    `<!doctype html` or an `<html>`, `<head>` or `<body>` tag, or where it begins with any known
    HTML tag and ends with a known closing tag.
    """
    offsets, data = utf8(texts)
    mask = np.zeros(len(texts), np.bool_)
    _find_html(offsets, data, mask)
    return mask


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
def _is_space(byte):  # type: ignore[no-untyped-def]
    return byte == _SPACE or 9 <= byte <= 13


@njit(cache=True, nogil=True)
def _starts_with(data, i, end, literal):  # type: ignore[no-untyped-def]
    """Whether `literal`, in lower case, stands at i; ASCII case is ignored."""
    if end - i < len(literal):
        return False
    for k in range(len(literal)):
        byte = data[i + k]
        if 65 <= byte <= 90:
            byte += 32
        if byte != literal[k]:
            return False
    return True


@njit(cache=True, nogil=True)
def _after(data, i, end, literal):  # type: ignore[no-untyped-def]
    """Where the first `literal` at or after i ends; `end` if there is none."""
    while i < end and not _starts_with(data, i, end, literal):
        i += 1
    return min(i + len(literal), end)


@njit(cache=True, nogil=True)
def _element(data, i, end):  # type: ignore[no-untyped-def]
    """(kind, where the name ends) of the element name at i."""
    value = np.int64(_FNV_BASIS)
    while i < end:
        byte = data[i]
        if 65 <= byte <= 90:
            byte += 32
        if not (97 <= byte <= 122 or 48 <= byte <= 57):
            break
        value = ((value ^ np.int64(byte)) * _FNV_PRIME) & _MASK
        i += 1
    slot = value % _SLOTS
    return (_KINDS[slot] if _HASHES[slot] == value else _UNKNOWN), i


@njit(cache=True, nogil=True)
def _find_html(offsets, data, mask):  # type: ignore[no-untyped-def]
    for row in range(len(offsets) - 1):
        i, end = np.int64(offsets[row]), np.int64(offsets[row + 1])
        while i < end:
            if _is_space(data[i]):
                i += 1
            elif _starts_with(data, i, end, _COMMENT):
                i = _after(data, i + 4, end, _COMMENT_END)
            elif _starts_with(data, i, end, _XML):
                i = _after(data, i + 5, end, _XML_END)
            else:
                break
        if i < end and data[i] == _LT:
            mask[row] = _begins_page(data, i, end) or _is_fragment(data, i, end)


@njit(cache=True, nogil=True)
def _begins_page(data, i, end):  # type: ignore[no-untyped-def]
    if _starts_with(data, i, end, _DOCTYPE):
        return True
    _, name_end = _element(data, i + 1, end)
    is_page_tag = False
    for name in (_HTML, _HEAD, _BODY):
        is_page_tag |= name_end - i == 5 and _starts_with(data, i, end, name)
    return is_page_tag and name_end < end and (data[name_end] == _GT or _is_space(data[name_end]))


@njit(cache=True, nogil=True)
def _is_fragment(data, i, end):  # type: ignore[no-untyped-def]
    kind, _ = _element(data, i + 1, end)
    while _is_space(data[end - 1]):
        end -= 1
    if kind == _UNKNOWN or data[end - 1] != _GT:
        return False
    last = end - 1
    while last > i and data[last] != _LT:
        last -= 1
    kind, name_end = _element(data, last + 2, end)
    return data[last + 1] == _SLASH and kind != _UNKNOWN and name_end == end - 1


@njit(cache=True, nogil=True)
def _tag_end(data, i, end):  # type: ignore[no-untyped-def]
    """Where the tag whose attributes begin at i ends; a `>` in a quoted value does not end it."""
    while i < end and data[i] != _GT:
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
        if _starts_with(data, i, end, _AMP_TEXT):
            return _AMP, 0, 5
        if _starts_with(data, i, end, _LT_TEXT):
            return _LT, 0, 4
        if _starts_with(data, i, end, _GT_TEXT):
            return _GT, 0, 4
        if _starts_with(data, i, end, _NBSP_TEXT):
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
            if data[i] != _LT:
                first, second, size = _character(data, i, end)
                i += size
                if num_preformatted == 0 and _is_space(first):
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
            if _starts_with(data, i, end, _COMMENT):
                i = _after(data, i + 4, end, _COMMENT_END)
                continue
            closes = i + 1 < end and data[i + 1] == _SLASH
            kind, i = _element(data, i + 1 + closes, end)
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
