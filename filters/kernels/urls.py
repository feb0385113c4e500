"""Compiled look-ups of hosts, URLs and words, which are in normal form, in lists.

Kernels that call each other stand in one file, because numba's on-disk cache watches only the file
of the outermost one.
"""

from typing import Any, NamedTuple

import numpy as np

from filters.kernels.compiled import kernel

HARD, SOFT = 1, 2  # kinds of whole words
MISSING = -1  # an empty normal form: there is no URL
NOT_BLOCKED, BY_DOMAIN, BY_URL, BY_STRICT_WORD, BY_HARD_WORD = range(5)

WINDOW = 8  # bytes: by the last ones of a string most look-ups end before it is hashed

_HASH_FACTOR, _HASH_SEED = np.uint64(0x100000001B3), np.uint64(0xCBF29CE484222325)  # FNV-1a, 64
_TAG = np.uint64(0xFFFFFFFF00000000)  # the half of a slot that is of the hash
_FOLD, _ONE = np.uint64(29), np.uint64(1)  # a string's first slot is not by its tag alone
_ALL, _BYTE, _HALF = np.uint64(2**64 - 1), np.uint64(8), np.uint64(32)
_THREE, _SEVEN = np.uint64(3), np.uint64(7)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd, and its upper bits depend on all bytes of a window
_DOT = ord(".")

_IN_WORD = np.zeros(256, np.uint8)  # ASCII letters (as lower case), digits, other characters; or 0
for _byte in (*b"abcdefghijklmnopqrstuvwxyz0123456789", *range(128, 256)):
    _IN_WORD[_byte] = _byte
_IN_WORD[0x41:0x5B] = _IN_WORD[0x61:0x7B]


class Table(NamedTuple):
    """A set of strings, found by their bytes from last to first.

    String i is `data[offsets[i]:offsets[i + 1]]`. A slot is 0 where it is free, else it holds the
    upper half of the hash and i + 1. There is a power of 2 of slots, and of endings.
    """

    offsets: np.ndarray  # int32 (n + 1)
    data: np.ndarray  # uint8
    slots: np.ndarray  # uint64
    endings: np.ndarray  # uint8: a bit per hash of the last bytes of a string, WINDOW at most


class StrictWords(NamedTuple):
    """Strings to find anywhere."""

    table: Table  # the endings are of as many bytes as all of them have, WINDOW at most
    shortest: int
    longest: int


class Lists(NamedTuple):
    """All that a URL is held against."""

    allowed: Table  # hosts
    domains: Table  # hosts
    urls: Table  # normal forms
    strict: StrictWords
    words: Table
    kinds: np.ndarray  # uint8: HARD, SOFT or both, of each of `words`


@kernel
def index_strings(table: Table, window_bytes: int) -> None:
    """Fill the slots and the endings, of so many bytes; both are zeros before."""
    offsets, data, slots, endings = table
    mask = np.uint64(len(slots) - 1)
    for string in range(len(offsets) - 1):
        start, stop = offsets[string], offsets[string + 1]
        ending = _ending(_last_bytes(data[start:stop], window_bytes), endings)
        endings[ending >> _THREE] |= np.uint8(1 << np.int64(ending & _SEVEN))
        value = _hash(data, start, stop)
        slot = (value ^ value >> _FOLD) & mask
        while slots[slot]:
            slot = (slot + _ONE) & mask
        slots[slot] = (value & _TAG) | np.uint64(string + 1)


@kernel
def judge(
    offsets: np.ndarray,
    data: np.ndarray,
    host_bytes: np.ndarray,
    lists: Lists,
    codes: np.ndarray,
    counts: np.ndarray,
) -> None:
    """By what each normal form is blocked (`codes` int8), and its soft words (`counts` int32).

    What is allowed, or is no URL, is not blocked and has no soft words.
    """
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    squeezed = np.empty(longest, np.uint8)
    stops, windows = np.empty(longest + 1, np.int64), np.empty(longest + 1, np.uint64)
    last_row = np.full(len(lists.kinds), -1, np.int64)  # that had the word last
    has_allowed, has_domains = len(lists.allowed.offsets) > 1, len(lists.domains.offsets) > 1
    has_urls, has_strict = len(lists.urls.offsets) > 1, len(lists.strict.table.offsets) > 1
    has_words = len(lists.kinds) > 0
    for row in range(len(offsets) - 1):
        form, num_host = data[offsets[row] : offsets[row + 1]], host_bytes[row]
        codes[row] = NOT_BLOCKED if len(form) else MISSING
        counts[row] = 0
        if len(form) == 0 or (has_allowed and _has_domain(form, num_host, lists.allowed)):
            continue
        is_hard, num_squeezed, num_words = False, 0, 0
        if has_strict or has_words:
            num_squeezed, num_words = _split(form, squeezed, stops, windows)
        if has_words:
            is_hard, counts[row] = _count_words(
                squeezed, stops[:num_words], windows, lists, row, last_row
            )
        if has_domains and _has_domain(form, num_host, lists.domains):
            codes[row] = BY_DOMAIN
        elif has_urls and _has_whole(form, lists.urls):
            codes[row] = BY_URL
        elif has_strict and _has_strict(squeezed[:num_squeezed], lists.strict):
            codes[row] = BY_STRICT_WORD
        elif is_hard:
            codes[row] = BY_HARD_WORD


@kernel
def _has_domain(form: np.ndarray, num_host: int, table: Table) -> bool:
    """Whether the host, or what stands behind one of its dots, is in the table."""
    offsets, data, slots, _ = table
    value = _HASH_SEED
    for at in range(num_host - 1, -1, -1):
        value = _mix(value, form[at])
        begins = at == 0 or form[at - 1] == _DOT
        if begins and _find(form, at, num_host, value, offsets, data, slots) >= 0:
            return True
    return False


@kernel
def _has_whole(form: np.ndarray, table: Table) -> bool:
    offsets, data, slots, endings = table
    ending = _ending(_last_bytes(form, WINDOW), endings)
    if not endings[ending >> _THREE] >> (ending & _SEVEN) & _ONE:
        return False
    value = _hash(form, 0, len(form))
    return _find(form, 0, len(form), value, offsets, data, slots) >= 0


@kernel
def _split(
    form: np.ndarray, squeezed: np.ndarray, stops: np.ndarray, windows: np.ndarray
) -> tuple[int, int]:
    """Write the words in lower case, where each ends and its last bytes; return bytes and words.

    `squeezed` has no separators. Without a branch per byte: what is written where no word ends is
    written over.
    """
    num_bytes = num_words = 0
    window, before = np.uint64(0), 0
    for at in range(len(form)):
        byte = _IN_WORD[form[at]]
        here = 1 if byte else 0
        squeezed[num_bytes] = byte
        stops[num_words], windows[num_words] = num_bytes, window
        num_words += before & ~here
        num_bytes += here
        window = (window << _BYTE | np.uint64(byte)) * np.uint64(here)
        before = here
    stops[num_words], windows[num_words] = num_bytes, window
    return num_bytes, num_words + before


@kernel
def _has_strict(squeezed: np.ndarray, words: StrictWords) -> bool:
    """Whether a strict word stands anywhere."""
    endings = words.table.endings
    length = min(WINDOW, words.shortest)
    mask, num_endings = _ALL >> np.uint64(64 - 8 * length), np.uint64(8 * len(endings))
    window = np.uint64(0)
    for at in range(len(squeezed)):
        window = (window << _BYTE | np.uint64(squeezed[at])) & mask
        ending = (window * _SPREAD) >> _HALF & (num_endings - _ONE)
        found = endings[ending >> _THREE] & (_ONE << (ending & _SEVEN))
        if found and _ends_strictly(squeezed, at + 1, words):
            return True
    return False


@kernel
def _count_words(
    squeezed: np.ndarray,
    stops: np.ndarray,
    windows: np.ndarray,
    lists: Lists,
    row: int,
    last_row: np.ndarray,
) -> tuple[bool, int]:
    """Whether there is a hard word, and how many different soft words."""
    offsets, data, slots, endings = lists.words
    num_endings, kinds = np.uint64(8 * len(endings)), lists.kinds
    is_hard, num_soft = False, 0
    for place in range(len(stops)):
        ending = (windows[place] * _SPREAD) >> _HALF & (num_endings - _ONE)
        if not endings[ending >> _THREE] & (_ONE << (ending & _SEVEN)):
            continue
        start, stop = stops[place - 1] if place else 0, stops[place]
        value = _hash(squeezed, start, stop)
        word = _find(squeezed, start, stop, value, offsets, data, slots)
        if word >= 0 and last_row[word] != row:
            last_row[word] = row
            is_hard |= kinds[word] & HARD > 0
            num_soft += (kinds[word] & SOFT) >> 1
    return is_hard, num_soft


@kernel
def _ends_strictly(squeezed: np.ndarray, stop: int, words: StrictWords) -> bool:
    """Whether a strict word ends here."""
    offsets, data, slots, _ = words.table
    value = _HASH_SEED
    for at in range(stop - 1, max(-1, stop - words.longest - 1), -1):
        value = _mix(value, squeezed[at])
        is_long = stop - at >= words.shortest
        if is_long and _find(squeezed, at, stop, value, offsets, data, slots) >= 0:
            return True
    return False


@kernel
def _find(
    form: np.ndarray,
    begin: int,
    end: int,
    value: np.uint64,
    offsets: np.ndarray,
    data: np.ndarray,
    slots: np.ndarray,
) -> int:
    """The number of the string that `form[begin:end]` is, or -1; `value` is its hash.

    Takes the arrays of a table one by one: passing a tuple of them costs 40 ns a call.
    """
    mask = np.uint64(len(slots) - 1)
    slot = (value ^ value >> _FOLD) & mask
    while slots[slot]:
        if slots[slot] & _TAG == value & _TAG:
            string: Any = np.int64(slots[slot] & ~_TAG) - 1
            start = offsets[string]
            same, at = offsets[string + 1] - start == end - begin, 0
            while same and at < end - begin:
                same = form[begin + at] == data[start + at]
                at += 1
            if same:
                return int(string)
        slot = (slot + _ONE) & mask
    return -1


@kernel
def _last_bytes(string: np.ndarray, num_bytes: int) -> np.uint64:
    """The last bytes, at most so many, as a number."""
    window = np.uint64(0)
    for at in range(max(0, len(string) - num_bytes), len(string)):
        window = window << _BYTE | np.uint64(string[at])
    return window


@kernel
def _ending(window: np.uint64, endings: np.ndarray) -> Any:
    """The bit of `endings` that last bytes have."""
    return (window * _SPREAD) >> _HALF & np.uint64(8 * len(endings) - 1)


@kernel
def _hash(data: np.ndarray, start: int, stop: int) -> np.uint64:
    value = _HASH_SEED
    for at in range(stop - 1, start - 1, -1):
        value = _mix(value, data[at])
    return value


@kernel
def _mix(value: np.uint64, byte: int) -> np.uint64:
    return np.uint64((value ^ np.uint64(byte)) * _HASH_FACTOR)
