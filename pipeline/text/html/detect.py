"""Is this text an HTML page? A kernel decides by how it begins and ends, not by its tags.

Among the mixed documents of the development corpus (118,000 of prose, code and manual pages) test
files for HTML libraries have up to 1.2 closing tags per 100 characters, as many as many a real
page.
"""

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.text.buffers import utf8
from pipeline.text.html.names import GT, LT, SLASH, after, is_space, starts_with
from pipeline.text.html.render import UNKNOWN, element

_COMMENT, _XML, _DOCTYPE = (
    np.frombuffer(s, np.uint8) for s in (b"<!--", b"<?xml", b"<!doctype html")
)
_HTML, _HEAD, _BODY = (np.frombuffer(s, np.uint8) for s in (b"<html", b"<head", b"<body"))
_COMMENT_END, _XML_END = (np.frombuffer(s, np.uint8) for s in (b"-->", b"?>"))
_PHP, _PHP_ECHO = (np.frombuffer(s, np.uint8) for s in (b"<?php", b"<?="))
_VERBATIM = tuple(np.frombuffer(s, np.uint8) for s in (b"code", b"pre", b"textarea"))
_PROGRAMS = tuple(np.frombuffer(s, np.uint8) for s in (b"script", b"style"))
_FENCES = tuple(np.frombuffer(s, np.uint8) for s in (b"```", b"~~~"))
_OPEN_BRACE, _CLOSE_BRACE, _BACKTICK, _QUOTE, _APOSTROPHE = (ord(c) for c in "{}`\"'")
_HASH, _BAR, _DOT, _LF = (ord(c) for c in "#|.\n")
_BULLETS = tuple(ord(c) for c in "-*+")
_BYTE_ORDER_MARK = np.frombuffer(b"\xef\xbb\xbf", np.uint8)


def looks_like_html(texts: pa.StringArray) -> NDArray[np.bool_]:
    """True for whole pages and for fragments that can be nothing else.

    After white space, a byte order mark, comments and an XML declaration a page begins with
    `<!doctype html` or an `<html>`, `<head>` or `<body>` tag, and holds no `<?php` or `<?=`.

    A fragment begins with a known HTML tag and ends with a known closing one, has no other tags
    than known ones and no script, and its text is no Markdown, template or program: outside of
    `<pre>` and `<code>` it has no braces and backticks, no line that Markdown takes for a heading,
    list, table or fence, and no line of text after an empty one. Markup that stays in a text costs
    less than a read-me or program without its code.
    """
    offsets, data = utf8(texts)
    mask = np.zeros(len(texts), np.bool_)
    _find_html(offsets, data, mask)
    return mask


@njit(cache=True, nogil=True)
def _find_html(offsets, data, mask):  # type: ignore[no-untyped-def]
    for row in range(len(offsets) - 1):
        i, end = np.int64(offsets[row]), np.int64(offsets[row + 1])
        while i < end:
            if is_space(data[i]):
                i += 1
            elif starts_with(data, i, end, _BYTE_ORDER_MARK):
                i += 3
            elif starts_with(data, i, end, _COMMENT):
                i = after(data, i + 4, end, _COMMENT_END)
            elif starts_with(data, i, end, _XML):
                i = after(data, i + 5, end, _XML_END)
            else:
                break
        if i < end and data[i] == LT:
            if _begins_page(data, i, end):
                mask[row] = not _has_php(data, i, end)
            else:
                mask[row] = _is_fragment(data, i, end) and _is_clear(data, i, end)


@njit(cache=True, nogil=True)
def _begins_page(data, i, end):  # type: ignore[no-untyped-def]
    if starts_with(data, i, end, _DOCTYPE):
        return True
    _, name_end = element(data, i + 1, end)
    is_page_tag = False
    for name in (_HTML, _HEAD, _BODY):
        is_page_tag |= name_end - i == 5 and starts_with(data, i, end, name)
    return is_page_tag and name_end < end and (data[name_end] == GT or is_space(data[name_end]))


@njit(cache=True, nogil=True)
def _is_fragment(data, i, end):  # type: ignore[no-untyped-def]
    kind, _ = element(data, i + 1, end)
    while is_space(data[end - 1]):
        end -= 1
    if kind == UNKNOWN or data[end - 1] != GT:
        return False
    last = end - 1
    while last > i and data[last] != LT:
        last -= 1
    kind, name_end = element(data, last + 2, end)
    return data[last + 1] == SLASH and kind != UNKNOWN and name_end == end - 1


@njit(cache=True, nogil=True)
def _has_php(data, i, end):  # type: ignore[no-untyped-def]
    while i + 1 < end:
        is_php = starts_with(data, i, end, _PHP) or starts_with(data, i, end, _PHP_ECHO)
        if data[i] == LT and is_php:
            return True
        i += 1
    return False


@njit(cache=True, nogil=True)
def _is_one_of(data, i, end, names):  # type: ignore[no-untyped-def]
    found = False
    for name in names:
        found |= end - i == len(name) and starts_with(data, i, end, name)
    return found


@njit(cache=True, nogil=True)
def _is_clear(data, i, end):  # type: ignore[no-untyped-def]
    """Whether a fragment has tags of HTML only, and text that is neither Markdown nor a program."""
    num_verbatim = 0  # elements open that hold program text
    is_line_empty, is_after_empty = True, False
    while i < end:
        byte = data[i]
        if byte == LT and starts_with(data, i, end, _COMMENT):
            i = after(data, i + 4, end, _COMMENT_END)
        elif byte == LT:
            closes = i + 1 < end and data[i + 1] == SLASH
            name = i + 1 + closes
            kind, name_end = element(data, name, end)
            if kind == UNKNOWN or _is_one_of(data, name, name_end, _PROGRAMS):
                return False
            if _is_one_of(data, name, name_end, _VERBATIM):
                num_verbatim += -1 if closes else 1
            i = _after_tag(data, name_end, end)
            if i < 0:
                return False
            is_line_empty, is_after_empty = False, False
        elif byte == _LF:
            is_line_empty, is_after_empty = True, is_line_empty
            i += 1
        elif is_space(byte):
            i += 1
        else:
            if num_verbatim <= 0:
                if is_line_empty and (is_after_empty or _is_markdown(data, i, end)):
                    return False
                if byte in (_OPEN_BRACE, _CLOSE_BRACE, _BACKTICK):
                    return False
            is_line_empty, is_after_empty = False, False
            i += 1
    return True


@njit(cache=True, nogil=True)
def _after_tag(data, i, end):  # type: ignore[no-untyped-def]
    """Where the tag ends whose name ends at i; -1 where no tag of HTML is written so."""
    if i >= end or not (data[i] == GT or data[i] == SLASH or is_space(data[i])):
        return -1
    quote = 0
    while i < end:
        byte = data[i]
        if quote:
            if byte == quote:
                quote = 0
        elif byte == GT:
            return i + 1
        elif byte in (_QUOTE, _APOSTROPHE):
            quote = byte
        elif byte in (LT, _OPEN_BRACE):
            return -1
        i += 1
    return -1


@njit(cache=True, nogil=True)
def _is_markdown(data, i, end):  # type: ignore[no-untyped-def]
    """Whether the text of a line that begins at i is a heading, list item, table row or fence."""
    byte = data[i]
    if byte in (_HASH, _BAR):
        return True
    for fence in _FENCES:
        if starts_with(data, i, end, fence):
            return True
    number_end = i
    while number_end < end and 48 <= data[number_end] <= 57:
        number_end += 1
    if i < number_end < end and data[number_end] == _DOT:
        return number_end + 1 < end and is_space(data[number_end + 1])
    is_bullet = False
    for bullet in _BULLETS:
        is_bullet |= byte == bullet
    return is_bullet and i + 1 < end and is_space(data[i + 1])
