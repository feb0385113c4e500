"""The kernel that finds words: a hash of every three bytes, and a look at those that have it.

Letters are folded by setting bit 5, which other bytes survive well enough for a filter; the exact
comparison follows. One word in a thousand bytes of documentation passes the filter for nothing.
"""

import functools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.text.buffers import utf8
from pipeline.text.pii.windows import MARGIN_BYTES, NUM_COLUMNS, emit

if TYPE_CHECKING:
    from pipeline.text.pii.triggers import Words

MIN_WORD_BYTES = 3

_HASH_BITS = 14  # a table of 16 KB stays in the first cache
_MULTIPLIER = 0x9E3779B1  # 2**32 over the golden ratio (Knuth)
_FOLD = 0x20
_SMALL_A = ord("a")
_FOLDS = 0x202020
_PREFIX = 0xFFFFFF
_BLOCK_BYTES = 1 << 15
_SHIFT = 32 - _HASH_BITS

_LEAD, _REACH, _WHOLE, _TO_END = range(4)  # columns of a list
_BEGIN, _RUN_END = range(2)  # columns of an open window: none is open if it begins at -1

_URI = (
    bytes(range(ord("a"), ord("z") + 1))
    + bytes(range(ord("A"), ord("Z") + 1))
    + b"0123456789-._~:/?#[]@!$&'()*+,;=%"
)


def _uri_table() -> NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[list(_URI)] = True
    return table


def _lower_table() -> NDArray[np.uint8]:
    return np.frombuffer(bytes(range(256)).lower(), np.uint8).copy()


_IS_URI = _uri_table()
_IS_ALNUM = np.array([bytes([byte]).isalnum() for byte in range(256)])  # ASCII's
_LOWER = _lower_table()


class _Table(NamedTuple):
    """The words of all lists, as the kernel reads them; which takes them apart, since every access
    to an array in a tuple counts references: 160 ns for each place looked at, against 20.

    `heads[hash]` is the first entry whose word begins with such bytes, or -1, and `fourths[hash]`
    has a bit for each fourth byte that goes on. The word of an entry is `letters[start:end]`, in
    lower case.
    """

    filled: NDArray[np.uint8]  # whether there is a head
    fourths: NDArray[np.int64]
    heads: NDArray[np.int32]
    entries: NDArray[np.int64]  # (entries, 4): the next entry of the hash, start, end, list
    letters: NDArray[np.uint8]
    lists: NDArray[np.int64]  # (lists, 4): lead_bytes, reach_bytes, begin_words, to_end


def find_words(texts: pa.StringArray, lists: "tuple[Words, ...]") -> NDArray[np.int64]:
    """The windows of all lists; KINDS says of which. Those of one list are in order."""
    if not lists:
        return np.empty((0, NUM_COLUMNS), np.int64)
    offsets, data = utf8(texts)
    table = _table(lists)
    windows = np.empty((256 + int(offsets[-1] - offsets[0]) // 1024, NUM_COLUMNS), np.int64)
    num_windows = _scan(offsets, data, *table, windows)
    if num_windows > len(windows):
        windows = np.empty((num_windows, NUM_COLUMNS), np.int64)
        _scan(offsets, data, *table, windows)
    return windows[:num_windows]


@functools.lru_cache(maxsize=8)
def _table(lists: "tuple[Words, ...]") -> _Table:
    words = [(word.lower(), owner) for owner, each in enumerate(lists) for word in each.words]
    heads = np.full(1 << _HASH_BITS, -1, np.int32)
    fourths = np.zeros(1 << _HASH_BITS, np.int64)
    rows, start = [], 0
    for word, owner in words:
        folded = [byte | _FOLD for byte in word]
        place = _hash(folded[0] << 16 | folded[1] << 8 | folded[2])
        fourths[place] |= -1 if len(word) == MIN_WORD_BYTES else _signed(1 << (folded[3] & 63))
        rows.append((heads[place], start, start + len(word), owner))
        heads[place] = len(rows) - 1
        start += len(word)
    return _Table(
        filled=(heads >= 0).astype(np.uint8),
        fourths=fourths,
        heads=heads,
        entries=np.array(rows, np.int64),
        letters=np.frombuffer(b"".join(word for word, _ in words), np.uint8),
        lists=np.array(
            [(x.lead_bytes, x.reach_bytes, x.begin_words, x.to_end) for x in lists], np.int64
        ),
    )


def _signed(bits: int) -> int:
    return bits - (1 << 64) if bits >> 63 else bits


def _hash(prefix: int) -> int:
    return ((prefix * _MULTIPLIER) & 0xFFFFFFFF) >> _SHIFT


@njit(cache=True, nogil=True)
def _scan(offsets, data, filled, fourths, heads, entries, letters, lists, windows):  # type: ignore[no-untyped-def]
    opened = np.full((len(lists), 2), -1, np.int64)  # the open window of each list
    places = np.empty(_BLOCK_BYTES + 3, np.int64)
    num_windows, row = 0, 0
    begin, end = np.int64(offsets[0]), np.int64(offsets[-1])
    for block in range(begin, end, _BLOCK_BYTES):
        first, last = max(begin, block - 2), min(end, block + _BLOCK_BYTES)
        num_places = _filter(data, first, last, filled, places)
        num_places = _narrow(data, begin, end, fourths, places[:num_places])
        for place in places[:num_places]:
            while place >= offsets[row + 1]:
                num_windows = _close_all(windows, num_windows, offsets, row, lists, opened)
                row += 1
            if place < offsets[row]:  # of the block before this one
                continue
            entry = heads[_hash_of(data, place)]
            while entry >= 0:
                following, start, stop, owner = entries[entry]
                if _is_word(data, place, offsets[row + 1], letters, start, stop):
                    num_windows = _enter(
                        data,
                        place,
                        stop - start,
                        offsets,
                        row,
                        owner,
                        lists,
                        opened,
                        windows,
                        num_windows,
                    )
                entry = following
    return _close_all(windows, num_windows, offsets, row, lists, opened)


@njit(cache=True, nogil=True)
def _filter(data, begin, end, filled, places):  # type: ignore[no-untyped-def]
    """How many places could be those of words; without a branch, at twice the speed."""
    num_places = 0
    prefix = np.uint32(0)
    for i in range(begin, end):
        prefix = np.uint32(((prefix << 8) | data[i] | _FOLD) & _PREFIX)
        places[num_places] = i - 2
        num_places += filled[np.uint32(prefix * np.uint32(_MULTIPLIER)) >> np.uint32(_SHIFT)]
    return num_places


@njit(cache=True, nogil=True)
def _narrow(data, begin, end, fourths, places):  # type: ignore[no-untyped-def]
    """How many of the places stay by their fourth byte, as they move to the front: one in five."""
    num_places = 0
    for place in places:
        if place >= begin:
            last = data[place + 3] if place + 3 < end else 0
            places[num_places] = place
            num_places += (fourths[_hash_of(data, place)] >> _bit_of(last)) & 1
    return num_places


@njit(cache=True, nogil=True)
def _hash_of(data, i):  # type: ignore[no-untyped-def]
    prefix = (np.uint32(data[i]) << 16) | (np.uint32(data[i + 1]) << 8) | data[i + 2] | _FOLDS
    return np.uint32(np.uint32(prefix) * np.uint32(_MULTIPLIER)) >> np.uint32(_SHIFT)


@njit(cache=True, nogil=True)
def _bit_of(byte):  # type: ignore[no-untyped-def]
    return (byte | _FOLD) & 63


@njit(cache=True, nogil=True)
def _is_word(data, begin, row_end, letters, start, stop):  # type: ignore[no-untyped-def]
    """Whether the row goes on with `letters[start:stop]` from here."""
    if begin + stop - start > row_end:
        return False
    for i in range(stop - start):  # noqa: SIM110 (a generator costs numba a closure)
        if _LOWER[data[begin + i]] != letters[start + i]:
            return False
    return True


@njit(cache=True, nogil=True)
def _enter(data, begin, size, offsets, row, owner, lists, opened, windows, num_windows):  # type: ignore[no-untyped-def]
    """Widen the open window of the word's list by this word, or close it and open another."""
    row_begin, row_end = np.int64(offsets[row]), np.int64(offsets[row + 1])
    if lists[owner, _WHOLE] and begin > row_begin and _goes_on(data[begin - 1], data[begin]):
        return num_windows
    core = max(row_begin, begin - lists[owner, _LEAD])
    window, room = opened[owner], lists[owner, _REACH] + 2 * MARGIN_BYTES
    if window[_BEGIN] >= 0 and core - window[_RUN_END] > room:
        num_windows = _close(windows, num_windows, offsets, row, lists, opened, owner)
    _widen(data, row_end, window, core, row_end if lists[owner, _TO_END] else begin + size)
    return num_windows


@njit(cache=True, nogil=True)
def _goes_on(before, byte):  # type: ignore[no-untyped-def]
    """Whether a word goes on; in `customerSSN` one begins after the small letters."""
    is_hump = _LOWER[byte] != byte and before >= _SMALL_A
    return _IS_ALNUM[before] and not is_hump


@njit(cache=True, nogil=True)
def _widen(data, row_end, window, core, end):  # type: ignore[no-untyped-def]
    """Let the window begin at `core` if none is open, and go on to the end of this word's run."""
    if window[_BEGIN] < 0:
        window[_BEGIN], window[_RUN_END] = core, 0
    # a run is read once: a word that ends inside of one adds nothing
    if window[_RUN_END] <= end:
        while end < row_end and _IS_URI[data[end]]:
            end += 1
        window[_RUN_END] = end


@njit(cache=True, nogil=True)
def _close_all(windows, num_windows, offsets, row, lists, opened):  # type: ignore[no-untyped-def]
    for owner in range(len(opened)):
        if opened[owner, _BEGIN] >= 0:
            num_windows = _close(windows, num_windows, offsets, row, lists, opened, owner)
    return num_windows


@njit(cache=True, nogil=True)
def _close(windows, num_windows, offsets, row, lists, opened, owner):  # type: ignore[no-untyped-def]
    row_begin, row_end = np.int64(offsets[row]), np.int64(offsets[row + 1])
    begin, run_end = opened[owner]
    opened[owner, _BEGIN] = -1
    # no two windows of a list overlap, margins included, so whatever begins in this one is its own
    begin = max(row_begin, begin - MARGIN_BYTES)
    end = min(row_end, run_end + lists[owner, _REACH] + MARGIN_BYTES)
    return emit(windows, num_windows, begin, begin, end, end, owner)
