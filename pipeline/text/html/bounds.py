"""Bounds on a page before it is parsed: how deep it nests, and what else grows with its square.

Parsers of the HTML standard look through the open elements at many a tag, so 100,000 nested tags
(500 KB) cost lexbor half a minute, and at 10 MB hours. Worse, formatting elements that a block has
closed are opened again in the next one: 500 `<font>` of different attributes make 500 nodes of
each later `<p>`. And an attribute is compared with those before it in its tag.

A kernel follows the stack of open elements as the standard has it (13.2.4 to 13.2.6), in time
linear in the bytes times the depth at most, and stops at the first bound. It counts too much rather
than too little: insertion modes that ignore tags are not followed, nor are frame sets.
"""

import numpy as np
import pyarrow as pa
from numba import njit

from pipeline.text.buffers import utf8
from pipeline.text.html import elements as e
from pipeline.text.html.names import GT, LT, SLASH, starts_with, tag_name
from pipeline.text.html.scan import attributes, begins_cdata, raw_end, skip_declaration
from pipeline.text.html.stack import close_tag, open_tag, reopen

MAX_ATTRIBUTES = 256  # of one tag
MAX_REOPENED = 4  # bytes of tags opened again, per byte of the page ...
MIN_REOPENED_BYTES = 1 << 16  # ... and this many are always allowed
# lexbor looks at all options of a list again with each new one, at 20 ns each: 1 s in all
MAX_OPTION_STEPS = 50_000_000  # a list of 10,000
NO_LIMIT = 1 << 62

_FINE, _DEEP, _ATTRIBUTES, _REOPENED, _OPTIONS, _TABLES, _AMBIGUOUS = range(7)
_SVG, _MATH = (np.frombuffer(s, np.uint8) for s in (b"<svg", b"<math"))
_DETAILS = {
    _DEEP: "elements nest deeper than {max_depth} at byte {at}, want at most clean.max_html_depth",
    _ATTRIBUTES: f"a tag has more than {MAX_ATTRIBUTES} attributes at byte {{at}}",
    _REOPENED: "formatting elements that are never closed make a page "
    f"{MAX_REOPENED} times as large at byte {{at}}",
    _TABLES: "the page has more than {max_table_tags} tags of tables at byte {at}, which only "
    "`clean.extract: trafilatura` minds",
    _AMBIGUOUS: "what follows byte {at} is text to some parsers and tags to others",
    _OPTIONS: "the lists of options are longer at byte {at} than 10,000 in one",
}


def problems(
    pages: pa.StringArray, max_depth: int, max_table_tags: int = NO_LIMIT
) -> pa.StringArray:
    """For each page what is wrong with it, in a sentence, or null where it may be parsed.

    `max_depth` counts elements from `<html>` on, as they would stand in the tree, `max_table_tags`
    the start tags of tables, rows and cells.
    """
    offsets, data = utf8(pages)
    found = np.zeros((len(pages), 2), np.int64)
    _check(offsets, data, max_depth, max_table_tags, found)
    rows = [
        None
        if kind == _FINE
        else _DETAILS[kind].format(max_depth=max_depth, max_table_tags=max_table_tags, at=at)
        for kind, at in found.tolist()  # a page is parsed in Python's turn anyway
    ]
    return pa.array(rows, pa.string())


@njit(cache=True, nogil=True)
def depth_of(data, max_depth):  # type: ignore[no-untyped-def]
    """The depth that a page reaches, `max_depth` + 1 if it is more; for tests."""
    stack = np.zeros((max_depth + 1, 5), np.int64)
    waiting = np.zeros((max_depth + 1, 5), np.int64)
    state = np.zeros(5, np.int64)
    num_open = np.zeros(e.SIZE, np.int64)
    _page(data, 0, len(data), max_depth, NO_LIMIT, stack, waiting, state, num_open)
    return state[4]


@njit(cache=True, nogil=True)
def _check(offsets, data, max_depth, max_table_tags, found):  # type: ignore[no-untyped-def]
    stack = np.zeros((max_depth + 1, 5), np.int64)
    waiting = np.zeros((max_depth + 1, 5), np.int64)
    state = np.zeros(5, np.int64)
    num_open = np.zeros(e.SIZE, np.int64)
    for row in range(len(offsets) - 1):
        begin, end = np.int64(offsets[row]), np.int64(offsets[row + 1])
        state[:] = 0
        num_open[:] = 0
        kind, at = _page(
            data, begin, end, max_depth, max_table_tags, stack, waiting, state, num_open
        )
        found[row, 0], found[row, 1] = kind, at - begin


@njit(cache=True, nogil=True)
def _page(data, i, end, max_depth, max_table_tags, stack, waiting, state, num_open):  # type: ignore[no-untyped-def]
    """(problem, where) of the page at i."""
    most_bytes = max(MIN_REOPENED_BYTES, MAX_REOPENED * (end - i))
    num_options, option_steps, num_table_tags, num_root_attributes = 0, 0, 0, 0
    page_begin, has_foreign = i, -1  # not known
    while i < end:
        if data[i] != LT or i + 1 >= end:
            if state[1] > state[2]:
                reopen(stack, waiting, state, num_open)
            i += 1
            while i < end and data[i] != LT:
                i += 1
        else:
            begin = i
            closes = data[i + 1] == SLASH
            first = data[i + 2] if closes and i + 2 < end else data[i + 1]
            if closes and i + 2 >= end:
                return _FINE, end
            if not (65 <= first <= 90 or 97 <= first <= 122):
                if closes or first == 33 or first == 63:  # `!` and `?`
                    if begins_cdata(data, i, end):
                        if has_foreign < 0:
                            has_foreign = _has_foreign(data, page_begin, end)
                        if has_foreign and _hides_tags(data, i + 9, end):
                            return _AMBIGUOUS, begin
                    i = skip_declaration(data, i, end, state[0] and stack[state[0] - 1, 1])
                    continue
                if state[1] > state[2]:
                    reopen(stack, waiting, state, num_open)
                i += 1
                continue
            name, i = tag_name(data, i + 1 + closes, end)
            i, num_attributes, is_empty = attributes(data, i, end)
            slot = name % e.SIZE
            known = e.HASHES[slot] == name
            flags = e.FLAGS[slot] if known else 0
            if flags & e.IGNORED:  # the attributes of a second <body> are added to the first
                num_root_attributes += num_attributes
                num_attributes = num_root_attributes
            if num_attributes > MAX_ATTRIBUTES:
                return _ATTRIBUTES, begin
            slot = slot if known else -1
            if closes:
                close_tag(name, flags, slot, stack, waiting, state, num_open)
            else:
                if flags & e.IN_TABLE or name == e.TABLE:
                    num_table_tags += 1
                    if num_table_tags > max_table_tags:
                        return _TABLES, begin
                elif name == e.SELECT:
                    num_options = 0
                elif name == e.OPTION:
                    num_options += 1
                    option_steps += num_options
                    if option_steps > MAX_OPTION_STEPS:
                        return _OPTIONS, begin
                raw = open_tag(
                    data, begin, i, name, flags, slot, is_empty, stack, waiting, state, num_open
                )
                if raw == 2:  # plaintext
                    return _FINE, end
                if raw == 1:
                    i = raw_end(data, i, end, name)
                elif raw == 3:
                    text_end = raw_end(data, i, end, name)
                    if _has_byte(data, i, text_end, LT):
                        return _AMBIGUOUS, begin
                    i = text_end
        depth = state[0] + 2 * num_open[e.TABLE % e.SIZE] + 2
        state[4] = max(state[4], depth)
        if depth > max_depth or state[1] >= max_depth:
            state[4] = max_depth + 1
            return _DEEP, i
        if state[3] > most_bytes:
            return _REOPENED, i
    return _FINE, end


@njit(cache=True, nogil=True)
def _has_foreign(data, i, end):  # type: ignore[no-untyped-def]
    """Whether SVG or MathML may begin anywhere."""
    while i < end:
        if data[i] == LT and (starts_with(data, i, end, _SVG) or starts_with(data, i, end, _MATH)):
            return 1
        i += 1
    return 0


@njit(cache=True, nogil=True)
def _hides_tags(data, i, end):  # type: ignore[no-untyped-def]
    """Whether there is a `<` in the CDATA section whose content begins at i.

    Only in SVG and MathML it is one, elsewhere a comment up to the first `>`. Whether an element is
    open there depends on the insertion mode, which is not followed.
    """
    while i < end and data[i] != LT:
        if data[i] == 93 and i + 2 < end and data[i + 1] == 93 and data[i + 2] == GT:
            return False
        i += 1
    return i < end


@njit(cache=True, nogil=True)
def _has_byte(data, i, end, byte):  # type: ignore[no-untyped-def]
    while i < end and data[i] != byte:
        i += 1
    return i < end
