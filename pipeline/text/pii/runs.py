"""The kernel that finds runs of digits, letters and signs: the shapes that `triggers` describes."""

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.text.buffers import utf8
from pipeline.text.pii.windows import MARGIN_BYTES, NUM_COLUMNS, emit

RUNS = tuple(1 << bit for bit in range(14))
_EMAIL, _IPV4, _IPV6, _LOCAL_IPV6, _MAC, _PHONE, _SSN, _CPF = RUNS[:8]
_CARD, _NUMBER, _IBAN, _MIXED, _WALLET, _STREET = RUNS[8:]

MAX_GAP = 3
STREET_BYTES = 400  # from a house number to the end of the longest address
STREET_LEAD_BYTES = 20  # of `Apartment 1234a, `
LEAD_BYTES = 2  # a match may begin with `+`, `(` or `+(` before the first digit of its run

_OTHER, _DIGIT, _COLON, _AT, _JOINT = range(5)
_IS_ADDRESS, _IS_DOMAIN, _IS_HEX, _IS_GAP, _IS_WORD, _IS_LETTER, _IS_ALNUM = (
    1 << bit for bit in range(7)
)
(
    _PLUS,
    _PAREN,
    _DOT,
    _SPACE,
    _HYPHEN,
    _ZERO,
    _ONE,
    _TWO,
    _THREE,
    _X,
    _COMMA,
    _SMALL_A,
    _SMALL_F,
    _LF,
) = (ord(c) for c in "+(. -0123x,af\n")

_CASE_BIT = 0x20

_LETTERS = bytes(range(ord("a"), ord("z") + 1)) + bytes(range(ord("A"), ord("Z") + 1))
_DIGITS = b"0123456789"

_MIN_MIXED, _MAX_MIXED, _MIN_MIXED_DIGITS = 8, 24, 4
_MIN_WALLET, _MAX_WALLET = 25, 35
_HEX_WALLET = 42  # with its 0x
_MAX_NAME = 32  # bytes of one word of a street's name
_MIN_NUMBER, _MIN_CARD, _NUM_QUAD = 7, 13, 4


def _event_table() -> NDArray[np.uint8]:
    table = np.full(256, _OTHER, np.uint8)
    table[list(_DIGITS)] = _DIGIT
    table[ord(":")] = _COLON
    table[ord("@")] = _AT
    table[list(b"-.")] = _JOINT
    return table


def _property_table() -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    beyond_ascii = bytes(range(128, 256))
    table[list(_LETTERS + _DIGITS + b"._%+-'" + beyond_ascii)] |= _IS_ADDRESS
    table[list(_LETTERS + _DIGITS)] |= _IS_DOMAIN | _IS_ALNUM
    table[list(beyond_ascii)] |= _IS_DOMAIN
    table[list(_DIGITS + b"abcdefABCDEF")] |= _IS_HEX
    table[list(b" ().-/")] |= _IS_GAP
    table[list(_LETTERS + _DIGITS + b"_")] |= _IS_WORD
    table[list(_LETTERS)] |= _IS_LETTER
    return table


_EVENTS = _event_table()
_PROPERTIES = _property_table()


def find_runs(texts: pa.StringArray) -> NDArray[np.int64]:
    """The windows of all runs; KINDS holds the bits of those that the run could be."""
    offsets, data = utf8(texts)
    capacity = 256 + int(offsets[-1] - offsets[0]) // 256
    # filled, not grown, in the kernel: with an array reassigned in the loop it ran at a quarter of
    # the speed
    windows = np.empty((capacity, NUM_COLUMNS), np.int64)
    num_windows = _scan(offsets, data, windows)
    if num_windows > capacity:  # rare: mail archives and tables
        windows = np.empty((num_windows, NUM_COLUMNS), np.int64)
        _scan(offsets, data, windows)
    return windows[:num_windows]


@njit(cache=True, nogil=True)
def _has(byte, wanted):  # type: ignore[no-untyped-def]
    return _PROPERTIES[byte] & wanted != 0


@njit(cache=True, nogil=True)
def _is_digit(byte):  # type: ignore[no-untyped-def]
    return _EVENTS[byte] == _DIGIT


@njit(cache=True, nogil=True)
def _enter(windows, num_windows, row_begin, row_end, begin, end, kinds):  # type: ignore[no-untyped-def]
    reach = STREET_BYTES if kinds == _STREET else MARGIN_BYTES
    margin_begin, margin_end = max(row_begin, begin - MARGIN_BYTES), min(row_end, end + reach)
    lead = STREET_LEAD_BYTES if kinds == _STREET else LEAD_BYTES
    return emit(windows, num_windows, margin_begin, begin - lead, end, margin_end, kinds)


@njit(cache=True, nogil=True)
def _scan(offsets, data, windows):  # type: ignore[no-untyped-def]
    num_windows = 0
    for row in range(len(offsets) - 1):
        row_begin, row_end = np.int64(offsets[row]), np.int64(offsets[row + 1])
        address_end, mixed_end = row_begin, row_begin
        i = row_begin
        while i < row_end:
            event = _EVENTS[data[i]]
            if event == _OTHER:
                i += 1
                continue
            begin, end, kinds = i, i + 1, 0
            if event == _DIGIT:
                if i >= mixed_end and _is_mixed(data, i, row_begin, row_end):
                    begin, mixed_end, kinds = _mixed(data, i, row_begin, row_end)
                    if kinds:
                        num_windows = _enter(
                            windows, num_windows, row_begin, row_end, begin, mixed_end, kinds
                        )
                begin = i
                end, kinds = _lone_number(data, i, row_begin, row_end), 0
                if end == i:
                    end, kinds, group = _numbers(data, i, row_begin, row_end)
                    if group > i and end < row_end and _has(data[end], _IS_LETTER):
                        _, mixed_end, own = _mixed(data, group, row_begin, row_end)
                        if own:
                            num_windows = _enter(
                                windows, num_windows, row_begin, row_end, group, mixed_end, own
                            )
                    first, last = _mac_across(data, i, end, row_begin, row_end)
                    if last:
                        num_windows = _enter(
                            windows, num_windows, row_begin, row_end, first, last, _MAC
                        )
                if _is_house(data, end, row_end):
                    num_windows = _enter(
                        windows, num_windows, row_begin, row_end, begin, end, _STREET
                    )
            elif event == _COLON:
                begin, end, kinds = _ipv6(data, i, row_begin, row_end)
                if not kinds:
                    begin, end, kinds = _mac(data, i, row_begin, row_end)
                if not kinds and _is_loopback(data, i, row_begin, row_end):
                    begin, end, kinds = i, i + 3, _LOCAL_IPV6
            elif event == _JOINT:
                begin, end, kinds = _mac(data, i, row_begin, row_end)
            elif i >= address_end:
                begin, address_end, kinds = _address(data, i, address_end, row_end)
                end = address_end
            if kinds:
                num_windows = _enter(windows, num_windows, row_begin, row_end, begin, end, kinds)
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
    return begin, end, _EMAIL


@njit(cache=True, nogil=True)
def _ipv6(data, colon, row_begin, row_end):  # type: ignore[no-untyped-def]
    """(begin, end, kinds) of the run that the group before the colon begins."""
    begin = colon - 4
    if begin < row_begin:
        return colon, colon + 1, 0
    kinds = 0
    if data[begin] == _TWO or data[begin] == _THREE:
        kinds = _IPV6
    elif data[begin] | _CASE_BIT == _SMALL_F:
        kinds = _LOCAL_IPV6
    else:
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
    return begin, end, (kinds if num_colons >= 2 else 0)


@njit(cache=True, nogil=True)
def _is_loopback(data, colon, row_begin, row_end):  # type: ignore[no-untyped-def]
    """Whether `::1` stands there, and nothing goes on before it."""
    if colon + 2 >= row_end or data[colon + 2] != _ONE or _EVENTS[data[colon + 1]] != _COLON:
        return False
    return colon == row_begin or not (
        _has(data[colon - 1], _IS_WORD) or _EVENTS[data[colon - 1]] == _COLON
    )


@njit(cache=True, nogil=True)
def _mac(data, joint, row_begin, row_end):  # type: ignore[no-untyped-def]
    """(begin, end, kinds) of the groups of hexadecimal digits that this sign is the first joint of.

    At most 17 bytes are looked at, and nine signs in ten end at the first comparison.
    """
    sign = data[joint]
    size, num_groups = (4, 3) if sign == _DOT else (2, 6)
    begin, end = joint - size, joint - size + num_groups * (size + 1) - 1
    if begin < row_begin or end > row_end or data[joint + size + 1] != sign:
        return joint, joint + 1, 0
    if begin > row_begin and (_has(data[begin - 1], _IS_WORD) or data[begin - 1] == sign):
        return joint, joint + 1, 0
    if end < row_end and (_has(data[end], _IS_WORD)):
        return joint, joint + 1, 0
    for i in range(begin, end):
        is_joint = (i - begin) % (size + 1) == size
        if (data[i] != sign) if is_joint else not _has(data[i], _IS_HEX):
            return joint, joint + 1, 0
    return begin, end, _MAC


@njit(cache=True, nogil=True)
def _mac_across(data, begin, end, row_begin, row_end):  # type: ignore[no-untyped-def]
    """(begin, end) of such groups whose first joint lies in a run of numbers, or zeros if none."""
    follows = begin > row_begin and _has(data[begin - 1], _IS_LETTER)
    last = end + 1 if end + 1 < row_end and _EVENTS[data[end]] == _JOINT else end
    precedes = last < row_end and _has(data[last], _IS_LETTER)
    if follows or precedes:
        for i in range(begin, end):
            if _EVENTS[data[i]] == _JOINT:
                first, last, kinds = _mac(data, i, row_begin, row_end)
                if kinds:
                    return first, last
    return 0, 0


@njit(cache=True, nogil=True)
def _is_mixed(data, i, row_begin, row_end):  # type: ignore[no-untyped-def]
    """Whether a letter stands before or after the number at i."""
    if i > row_begin and _has(data[i - 1], _IS_LETTER):
        return True
    while i < row_end and _is_digit(data[i]):
        i += 1
    return i < row_end and _has(data[i], _IS_LETTER)


@njit(cache=True, nogil=True)
def _mixed(data, digit, row_begin, row_end):  # type: ignore[no-untyped-def]
    """(begin, end, kinds) of the letters and digits around the first digit of such a run."""
    begin, end = digit, digit
    while begin > row_begin and _has(data[begin - 1], _IS_LETTER):
        begin -= 1
    num_digits = 0
    while end < row_end and _has(data[end], _IS_ALNUM):
        num_digits += _is_digit(data[end])
        end += 1
    length = end - begin
    kinds = 0
    if _MIN_MIXED <= length <= _MAX_MIXED and num_digits >= _MIN_MIXED_DIGITS:
        kinds |= _MIXED
    if digit == begin + 2 and digit + 1 < row_end and _is_digit(data[digit + 1]):
        kinds |= _IBAN
    if data[begin] == _ZERO and length == _HEX_WALLET and data[begin + 1] == _X:
        kinds |= _WALLET
    if data[begin] in (_ONE, _THREE) and _MIN_WALLET <= length <= _MAX_WALLET:
        kinds |= _WALLET
    return begin, end, kinds


@njit(cache=True, nogil=True)
def _is_house(data, end, row_end):  # type: ignore[no-untyped-def]
    """Whether two capitals' words follow the numbers that end there: `12a, Mill Road`.

    Of `12 5th Avenue` the 5 is one of the numbers, and a single word is enough.
    """
    num_letters = 0
    while num_letters < 2 and end < row_end and _has(data[end], _IS_LETTER):
        end, num_letters = end + 1, num_letters + 1
    if end < row_end and data[end] == _COMMA:
        end += 1
    if end + 1 >= row_end or data[end] != _SPACE or not _is_capital(data[end + 1]):
        return False
    end += 1
    limit = min(row_end, end + _MAX_NAME)
    while end < limit and data[end] != _SPACE and data[end] != _LF:
        end += 1
    is_followed = end + 1 < row_end and data[end] == _SPACE
    return num_letters == 2 or (
        is_followed and (_is_capital(data[end + 1]) or _is_digit(data[end + 1]))
    )


@njit(cache=True, nogil=True)
def _is_capital(byte):  # type: ignore[no-untyped-def]
    return _has(byte, _IS_LETTER) and byte < _SMALL_A


@njit(cache=True, nogil=True)
def _lone_number(data, i, row_begin, row_end):  # type: ignore[no-untyped-def]
    """Where the number at i ends if nothing can be made of it, else i: nine in ten end here."""
    end = i + 1
    while end < row_end and _is_digit(data[end]):
        end += 1
    if end - i >= _MIN_NUMBER:
        return i
    if end + 1 >= row_end or not _has(data[end], _IS_GAP):
        return end
    return i if _has(data[end + 1], _IS_GAP) or _is_digit(data[end + 1]) else end


@njit(cache=True, nogil=True)
def _numbers(data, i, row_begin, row_end):  # type: ignore[no-untyped-def]
    """(end, kinds, begin of the last number) of the run of numbers that begins at i."""
    first = i
    kinds = 0
    third_last, before_last, last = 0, 0, 0  # lengths of the three groups before this one
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
        if num_card >= _MIN_CARD:
            kinds |= _CARD
        if num_quad >= _NUM_QUAD:
            kinds |= _IPV4
        if before_last == 3 and length == 4:
            kinds |= (_PHONE if last == 3 else 0) | (_SSN if last == 2 else 0)
        if third_last == 3 and before_last == 3 and last == 3 and length == 2:
            kinds |= _CPF
        third_last, before_last, last = before_last, last, length
        gap_begin = i
        while i < row_end and i - gap_begin <= MAX_GAP and _has(data[i], _IS_GAP):
            i += 1
        if i == row_end or i - gap_begin > MAX_GAP or not _is_digit(data[i]):
            break
    if num_digits >= _MIN_NUMBER:
        kinds |= _NUMBER | (_PHONE if _follows_plus(data, first, row_begin) else 0)
    return gap_begin, kinds, group_begin


@njit(cache=True, nogil=True)
def _follows_plus(data, i, row_begin):  # type: ignore[no-untyped-def]
    if i > row_begin and data[i - 1] == _PAREN:
        i -= 1
    return i > row_begin and data[i - 1] == _PLUS
