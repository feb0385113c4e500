"""Where tags, comments and raw text end, by the tokenizer of the HTML standard (13.2.5)."""

import numpy as np
from numba import njit

from pipeline.text.html import elements as e
from pipeline.text.html.names import GT, LT, SLASH, is_space, starts_with, tag_name

_QUOTE, _APOSTROPHE, _EQUALS, _DASH, _BANG = (ord(c) for c in "\"'=-!")
_CDATA, _COMMENT, _COMMENT_END = (
    np.frombuffer(s, np.uint8) for s in (b"<![CDATA[", b"<!--", b"-->")
)


@njit(cache=True, nogil=True)
def skip_declaration(data, i, end, parent):  # type: ignore[no-untyped-def]
    """Where the comment, doctype, CDATA section or the like at i ends; `parent` are its flags."""
    if starts_with(data, i, end, _COMMENT):
        return _comment_end(data, i + 4, end)
    if parent & e.FOREIGN and begins_cdata(data, i, end):
        i += 9
        while i + 2 < end and not (data[i] == 93 and data[i + 1] == 93 and data[i + 2] == GT):
            i += 1
        return min(i + 3, end)
    while i < end and data[i] != GT:
        i += 1
    return min(i + 1, end)


@njit(cache=True, nogil=True)
def begins_cdata(data, i, end):  # type: ignore[no-untyped-def]
    """Whether a CDATA section begins at i: in capitals only, or it is a comment."""
    if end - i < len(_CDATA):
        return False
    is_equal = True
    for k in range(len(_CDATA)):
        is_equal &= data[i + k] == _CDATA[k]
    return is_equal


@njit(cache=True, nogil=True)
def _comment_end(data, i, end):  # type: ignore[no-untyped-def]
    """`-->` and `--!>` end a comment, and so does `>` or `->` at once."""
    if i < end and data[i] == GT:
        return i + 1
    if i + 1 < end and data[i] == _DASH and data[i + 1] == GT:
        return i + 2
    while i + 2 < end:
        if data[i] == _DASH and data[i + 1] == _DASH:
            if data[i + 2] == GT:
                return i + 3
            if data[i + 2] == _BANG and i + 3 < end and data[i + 3] == GT:
                return i + 4
        i += 1
    return end


@njit(cache=True, nogil=True)
def attributes(data, i, end):  # type: ignore[no-untyped-def]
    """(where the tag ends, number of attributes, whether it ends in `/>`), from its name's end."""
    num, slash = 0, False
    while i < end:
        byte = data[i]
        if byte == GT:
            return i + 1, num, slash
        if byte == SLASH or is_space(byte):
            slash = byte == SLASH
            i += 1
            continue
        num += 1
        slash = False
        i += 1  # a name may begin with `=`
        while i < end and not (data[i] in (_EQUALS, GT, SLASH) or is_space(data[i])):
            i += 1
        j = i
        while j < end and is_space(data[j]):
            j += 1
        if j < end and data[j] == _EQUALS:
            i = _value_end(data, j + 1, end)
    return end, num, False


@njit(cache=True, nogil=True)
def _value_end(data, i, end):  # type: ignore[no-untyped-def]
    while i < end and is_space(data[i]):
        i += 1
    if i == end or data[i] == GT:
        return i
    if data[i] == _QUOTE or data[i] == _APOSTROPHE:
        quote = data[i]
        i += 1
        while i < end and data[i] != quote:
            i += 1
        return min(i + 1, end)
    while i < end and data[i] != GT and not is_space(data[i]):
        i += 1
    return i


@njit(cache=True, nogil=True)
def raw_end(data, i, end, name):  # type: ignore[no-untyped-def]
    """Where the end tag begins that ends the raw text at i; a script may hold another in `<!--`."""
    escaped, inner = False, False
    while i < end:
        if data[i] == LT and i + 1 < end:
            closes = data[i + 1] == SLASH
            found, name_end = tag_name(data, i + 1 + closes, min(end, i + 32))
            if found == name and name_end < end and (closes or (escaped and name == e.SCRIPT)):
                if closes and not inner:
                    return i
                inner = not closes
            elif name == e.SCRIPT and not escaped and starts_with(data, i, end, _COMMENT):
                escaped = True
                i += 2  # `<!-->` ends at once
        elif escaped and data[i] == _DASH and starts_with(data, i, end, _COMMENT_END):
            escaped, inner = False, False
        i += 1
    return end
