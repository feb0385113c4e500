"""Compiled loops that find the words and phrases of a list in texts, by 64-bit hashes.

The list is a tree whose edges are words: a node is the hash of the words from the root to it, and
is kept in an open-addressed table. So a text is read once, whatever the length of the list, and a
word that begins no entry costs one look into the table. Words are known by their hash alone: with
100,000 entries, the chance that any of 10^9 words is wrongly taken for a listed one is 5e-6.
"""

from typing import Any

import numpy as np

from filters.kernels.compiled import kernel
from filters.kernels.text import decode
from filters.kernels.words import EXPANDED, JOINED

ROOT = np.uint64(0x9E3779B97F4A7C15)
_SEED = np.uint64(0xCBF29CE484222325)
_FACTOR = np.uint64(0x9FB21C651E98DF25)
_SHIFT = np.uint64(32)
_ONE, _NONE = np.uint64(1), np.uint64(0)
BLANK = 0x20
_LEADS = np.array([byte & 0xC0 != 0x80 for byte in range(256)])  # a code point begins with it
_OUTSIDE = np.array([byte >= 0x80 or not chr(byte).isalnum() for byte in range(256)])


@kernel
def _mixed(state: Any, value: Any) -> Any:
    return (state ^ np.uint64(value)) * _FACTOR


@kernel
def _finished(state: Any) -> Any:
    """Well spread, and never 0, which marks a free slot."""
    return ((state ^ (state >> _SHIFT)) * _FACTOR) | _ONE


@kernel
def next_word(
    data: np.ndarray,
    at: int,
    stop: int,
    classes: np.ndarray,
    folds: np.ndarray,
    expansions: np.ndarray,
) -> tuple[Any, int]:
    """The hash of the word that begins at `at`, and where it ends."""
    state = _SEED
    while at < stop:
        code: Any = np.int64(data[at])
        after = at + 1
        if code >= 0x80:
            code, after = decode(data, at, stop)
        kind = classes[code]
        if not kind & JOINED:
            if kind and state == _SEED:  # a word by itself
                state, at = _folded(state, folds[code], expansions), after
            break
        fold = folds[code]
        state = _mixed(state, fold) if fold < 0x80 else _folded(state, fold, expansions)
        at = after
    return _finished(state), at


@kernel
def _folded(state: Any, fold: Any, expansions: np.ndarray) -> Any:
    if fold & EXPANDED:
        for part in expansions[fold ^ EXPANDED]:
            if part:
                state = _mixed(state, part)
        return state
    return _mixed(state, fold)


@kernel
def word_start(data: np.ndarray, at: int, stop: int, classes: np.ndarray) -> int:
    """Where the next word begins from `at` on, or `stop`."""
    while at < stop:
        code, after = decode(data, at, stop)
        if classes[code]:
            break
        at = after
    return at


@kernel
def _is_start(data: np.ndarray, at: int, begin: int, stop: int, classes: np.ndarray) -> bool:
    """Whether a word begins at `at`, where a code point does; the span begins at `begin`."""
    code, _ = decode(data, at, stop)
    if not classes[code] & JOINED or at == begin:
        return bool(classes[code] != 0)
    last = at - 1
    while last > begin and data[last] & 0xC0 == 0x80:
        last -= 1
    before, _ = decode(data, last, at)
    return not classes[before] & JOINED


@kernel
def _slot(keys: np.ndarray, key: Any) -> int:
    """Where the key is, or the free slot where it would be."""
    last = np.uint64(len(keys) - 1)  # len(keys) is a power of two
    slot: Any = (key >> _SHIFT) & last
    while keys[slot] != _NONE and keys[slot] != key:
        slot = (slot + _ONE) & last
    place: Any = np.int64(slot)
    return place  # type: ignore[no-any-return]


@kernel
def count_list_words(
    starts: np.ndarray,
    ends: np.ndarray,
    data: np.ndarray,
    classes: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Words of each span; words that begin with a digit. Without a branch per word."""
    for span in range(len(starts)):
        at, stop = starts[span], ends[span]
        words = numerals = before = 0
        while at < stop:
            code: Any = np.int64(data[at])
            if code < 0x80:
                at += 1
            else:
                code, at = decode(data, at, stop)
            kind: Any = np.int64(classes[code])
            joined = kind & JOINED
            begins = (joined & ~before) + (kind >> 1 & 1)
            words += begins
            numerals += begins & kind >> 2
            before = joined
        counts[0, span], counts[1, span] = words, numerals


@kernel
def index_entries(
    starts: np.ndarray,
    ends: np.ndarray,
    groups: np.ndarray,
    data: np.ndarray,
    classes: np.ndarray,
    folds: np.ndarray,
    expansions: np.ndarray,
    keys: np.ndarray,
    complete: np.ndarray,
    goes_on: np.ndarray,
) -> None:
    """Fill the table: `keys`, the groups of the entries that are complete there, and `goes_on`."""
    for entry in range(len(starts)):
        stop = ends[entry]
        at = word_start(data, starts[entry], stop, classes)
        node, before = ROOT, -1
        while at < stop:
            word, at = next_word(data, at, stop, classes, folds, expansions)
            at = word_start(data, at, stop, classes)
            if before >= 0:
                goes_on[before] = True
            node = _finished(_mixed(node, word))
            before = _slot(keys, node)
            keys[before] = node
        complete[before] |= groups[entry]


@kernel
def find_entries(
    starts: np.ndarray,
    ends: np.ndarray,
    wanted: np.ndarray,
    data: np.ndarray,
    classes: np.ndarray,
    folds: np.ndarray,
    expansions: np.ndarray,
    keys: np.ndarray,
    complete: np.ndarray,
    goes_on: np.ndarray,
    openings: np.ndarray,
    num_listed: np.ndarray,
    found: np.ndarray,
) -> None:
    """Of each span: words that begin an entry of a group in `wanted`; the groups that are there.

    Most bytes are passed over after one look at `openings`, bool (2^15,): whether an entry can
    begin with bytes of these low five bits, in which ASCII letters have no case.
    """
    for span in range(len(starts)):
        start, stop = starts[span], ends[span]
        listed, groups = 0, _NONE
        before, byte = np.int64(BLANK), _byte(data, start, stop)
        following = _byte(data, start + 1, stop)
        opening = (byte & 31) << 5 | following & 31
        for at in range(start, stop):
            third = _byte(data, at + 2, stop)
            opening = (opening << 5 | third & 31) & 0x7FFF
            may_begin = openings[opening] & (_OUTSIDE[before] | (byte >= 0xC0)) & _LEADS[byte]
            before, byte, following = byte, following, third
            if not may_begin or not _is_start(data, at, start, stop, classes):
                continue
            here = _entries_at(data, at, stop, classes, folds, expansions, keys, complete, goes_on)
            groups |= here
            listed += here & wanted[span] != _NONE
        num_listed[span], found[span] = listed, groups


@kernel
def _byte(data: np.ndarray, at: int, stop: int) -> Any:
    return np.int64(data[at]) if at < stop else np.int64(BLANK)


@kernel
def _entries_at(
    data: np.ndarray,
    at: int,
    stop: int,
    classes: np.ndarray,
    folds: np.ndarray,
    expansions: np.ndarray,
    keys: np.ndarray,
    complete: np.ndarray,
    goes_on: np.ndarray,
) -> Any:
    """The groups of all entries that begin with the word at `at`."""
    node, groups = ROOT, _NONE
    while at < stop:
        word, at = next_word(data, at, stop, classes, folds, expansions)
        node = _finished(_mixed(node, word))
        slot = _slot(keys, node)
        if keys[slot] == _NONE:
            break
        groups |= complete[slot]
        if not goes_on[slot]:
            break
        at = word_start(data, at, stop, classes)
    return groups


@kernel
def _step(
    word: Any,
    open_nodes: np.ndarray,  # entries that have begun, by their words so far
    num_open: int,
    begins: bool,
    keys: np.ndarray,
    complete: np.ndarray,
    goes_on: np.ndarray,
) -> tuple[Any, int]:
    """Go on by a word from all open nodes, and from the root where an entry may begin here.

    Returns the groups of the entries that end with the word, and how many nodes are open now.
    """
    ended = _NONE
    still_open = 0
    for place in range(num_open + begins):
        node = open_nodes[place] if place < num_open else ROOT
        node = _finished(_mixed(node, word))
        slot = _slot(keys, node)
        if keys[slot] != _NONE:
            ended |= complete[slot]
            if goes_on[slot]:
                open_nodes[still_open] = node
                still_open += 1
    return ended, still_open


@kernel
def cover_spans(
    starts: np.ndarray,
    ends: np.ndarray,
    group: Any,
    data: np.ndarray,
    classes: np.ndarray,
    folds: np.ndarray,
    expansions: np.ndarray,
    keys: np.ndarray,
    complete: np.ndarray,
    goes_on: np.ndarray,
    longest: int,
    covered: np.ndarray,
) -> None:
    """Whether a span is nothing but entries of a group, one after another, and at least one."""
    open_nodes = np.empty(longest + 1, np.uint64)
    for span in range(len(starts)):
        stop, num_open = ends[span], 0
        at = word_start(data, starts[span], stop, classes)
        whole = at < stop  # what was read so far is entries and nothing else
        while at < stop and (whole or num_open):
            word, at = next_word(data, at, stop, classes, folds, expansions)
            at = word_start(data, at, stop, classes)
            ended, num_open = _step(word, open_nodes, num_open, whole, keys, complete, goes_on)
            whole = ended & group != _NONE
        covered[span] = whole and at == stop
