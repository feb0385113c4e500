"""The one pass over every byte: where could PII of some kind stand?

A window is a run of bytes in which a pattern could match, and the recognisers that should look:

EMAIL   the longest run of address characters around an @ that has such characters on both sides
IPV4    a run of numbers with four of at most three digits joined by dots
IPV6    a run of hexadecimal digits, colons and dots that begins like 2000::/3, the only range of
        global unicast addresses that IANA has given out
PHONE   a run of numbers with groups of 3, 3 and 4 digits, or seven digits after a +
SSN     a run of numbers with groups of 3, 2 and 4 digits
CARD    a run of numbers with 13 digits that are joined or separated by one space or hyphen

A run of numbers is digits with at most `MAX_GAP` of ` ( ) . - /` between them.
"""

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.text.buffers import utf8

EMAIL, IPV4, IPV6, PHONE, SSN, CARD = (1 << bit for bit in range(6))

MAX_GAP = 3
MARGIN_BYTES = (
    48  # of context on either side; a judgement may look at 40 (recognizer.CONTEXT_BYTES)
)
LEAD_BYTES = 2  # a match may begin with `+`, `(` or `+(` before the first digit of its run

MARGIN_BEGIN, BEGIN, END, MARGIN_END, KINDS = range(5)  # columns of a window

_OTHER, _DIGIT, _COLON, _AT = range(4)
_IS_ADDRESS, _IS_DOMAIN, _IS_HEX, _IS_GAP, _IS_WORD = (1 << bit for bit in range(5))
_PLUS, _PAREN, _DOT, _SPACE, _HYPHEN, _NINE = (ord(c) for c in "+(. -9")

_LETTERS = bytes(range(ord("a"), ord("z") + 1)) + bytes(range(ord("A"), ord("Z") + 1))
_DIGITS = b"0123456789"


def _event_table() -> NDArray[np.uint8]:
    table = np.full(256, _OTHER, np.uint8)
    table[list(_DIGITS)] = _DIGIT
    table[ord(":")] = _COLON
    table[ord("@")] = _AT
    return table


def _property_table() -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    table[list(_LETTERS + _DIGITS + b"._%+-")] |= _IS_ADDRESS
    table[list(_LETTERS + _DIGITS)] |= _IS_DOMAIN
    table[list(_DIGITS + b"abcdefABCDEF")] |= _IS_HEX
    table[list(b" ().-/")] |= _IS_GAP
    table[list(_LETTERS + _DIGITS + b"_")] |= _IS_WORD
    return table


_EVENTS = _event_table()
_PROPERTIES = _property_table()


def find_windows(texts: pa.StringArray) -> NDArray[np.int64]:
    """The windows of all texts, (windows, 5), in the columns above; bytes of the data buffer.

    Within one kind, windows do not overlap and come in order. Margins stay inside their text.
    """
    offsets, data = utf8(texts)
    capacity = 256 + int(offsets[-1] - offsets[0]) // 1024
    # filled, not grown, in the kernel: with an array reassigned in the loop it ran at a quarter of
    # the speed
    windows = np.empty((capacity, 5), np.int64)
    num_windows = _scan(offsets, data, windows)
    if num_windows > capacity:  # rare: mail archives; documentation has one per 2,000 bytes
        windows = np.empty((num_windows, 5), np.int64)
        _scan(offsets, data, windows)
    return windows[:num_windows]


@njit(cache=True, nogil=True)
def _has(byte, wanted):  # type: ignore[no-untyped-def]
    return _PROPERTIES[byte] & wanted != 0


@njit(cache=True, nogil=True)
def _is_digit(byte):  # type: ignore[no-untyped-def]
    return _EVENTS[byte] == _DIGIT


@njit(cache=True, nogil=True)
def _scan(offsets, data, windows):  # type: ignore[no-untyped-def]
    num_windows = 0
    for row in range(len(offsets) - 1):
        row_begin, row_end = np.int64(offsets[row]), np.int64(offsets[row + 1])
        address_end = row_begin
        i = row_begin
        while i < row_end:
            if _EVENTS[data[i]] == _OTHER:
                i += 1
                continue
            event = _EVENTS[data[i]]
            begin, end, kinds = i, i + 1, 0
            if event == _DIGIT:
                end = _lone_number(data, i, row_begin, row_end)
                if end == i:
                    end, kinds = _numbers(data, i, row_begin, row_end)
            elif event == _COLON:
                begin, end, kinds = _ipv6(data, i, row_begin, row_end)
            elif i >= address_end:
                begin, address_end, kinds = _address(data, i, address_end, row_end)
                end = address_end
            if kinds:
                if num_windows < len(windows):
                    windows[num_windows, MARGIN_BEGIN] = max(row_begin, begin - MARGIN_BYTES)
                    windows[num_windows, BEGIN] = begin
                    windows[num_windows, END] = end
                    windows[num_windows, MARGIN_END] = min(row_end, end + MARGIN_BYTES)
                    windows[num_windows, KINDS] = kinds
                num_windows += 1
            # an address may hold numbers, so only a run of numbers is passed over
            i = end if event == _DIGIT else i + 1
    return num_windows


@njit(cache=True, nogil=True)
def _address(data, at, row_begin, row_end):  # type: ignore[no-untyped-def]
    """(begin, end, kinds) of the run of address characters around the @."""
    if at == row_begin or at + 1 == row_end:
        return at, at + 1, 0
    if not (_has(data[at - 1], _IS_ADDRESS) and _has(data[at + 1], _IS_DOMAIN)):
        return at, at + 1, 0
    begin, end = at, at + 1
    while begin > row_begin and _has(data[begin - 1], _IS_ADDRESS):
        begin -= 1
    while end < row_end and (_has(data[end], _IS_ADDRESS) or _EVENTS[data[end]] == _AT):
        end += 1
    return begin, end, EMAIL


@njit(cache=True, nogil=True)
def _ipv6(data, colon, row_begin, row_end):  # type: ignore[no-untyped-def]
    """(begin, end, kinds) of the run that the group before the colon begins."""
    begin = colon - 4
    if begin < row_begin or not (data[begin] == 50 or data[begin] == 51):  # 2, 3
        return colon, colon + 1, 0
    for i in range(begin + 1, colon):
        if not _has(data[i], _IS_HEX):
            return colon, colon + 1, 0
    if begin > row_begin:
        last = data[begin - 1]
        if _has(last, _IS_WORD) or _EVENTS[last] == _COLON or last == _DOT:
            return colon, colon + 1, 0
    end, num_colons = colon, 0
    while end < row_end and (
        _has(data[end], _IS_HEX) or _EVENTS[data[end]] == _COLON or data[end] == _DOT
    ):
        num_colons += _EVENTS[data[end]] == _COLON
        end += 1
    return begin, end, (IPV6 if num_colons >= 2 else 0)


@njit(cache=True, nogil=True)
def _lone_number(data, i, row_begin, row_end):  # type: ignore[no-untyped-def]
    """Where the number at i ends if nothing can be made of it, else i: nine in ten end here."""
    end = i + 1
    while end < row_end and _is_digit(data[end]):
        end += 1
    if end - i >= 7:
        return i
    if end + 1 >= row_end or not _has(data[end], _IS_GAP):
        return end
    return i if _has(data[end + 1], _IS_GAP) or _is_digit(data[end + 1]) else end


@njit(cache=True, nogil=True)
def _numbers(data, i, row_begin, row_end):  # type: ignore[no-untyped-def]
    """(end, kinds) of the run of numbers that begins at i."""
    first = i
    kinds = 0
    before_last, last = 0, 0  # lengths of the two groups before this one
    num_card, num_quad = 0, 0  # digits joined as in a card; groups joined as in an address
    num_digits = 0
    gap_begin = i
    while True:
        group_begin = i
        while i < row_end and _is_digit(data[i]):
            i += 1
        length = i - group_begin
        num_digits += length
        gap = data[gap_begin] if group_begin - gap_begin == 1 else 0
        num_card = length + (num_card if gap in (_SPACE, _HYPHEN) else 0)
        num_quad = (1 + (num_quad if gap == _DOT else 0)) if length <= 3 else 0
        if num_card >= 13:
            kinds |= CARD
        if num_quad >= 4:
            kinds |= IPV4
        if before_last == 3 and length == 4:
            kinds |= (PHONE if last == 3 else 0) | (SSN if last == 2 else 0)
        before_last, last = last, length
        gap_begin = i
        while i < row_end and i - gap_begin <= MAX_GAP and _has(data[i], _IS_GAP):
            i += 1
        if i == row_end or i - gap_begin > MAX_GAP or not _is_digit(data[i]):
            break
    if num_digits >= 7 and _follows_plus(data, first, row_begin):
        kinds |= PHONE
    return gap_begin, kinds


@njit(cache=True, nogil=True)
def _follows_plus(data, i, row_begin):  # type: ignore[no-untyped-def]
    if i > row_begin and data[i - 1] == _PAREN:
        i -= 1
    return i > row_begin and data[i - 1] == _PLUS
