"""What two texts have in common, word by word, in bounded time.

By anchors, as Bram Cohen's patience diff does with lines: words that stand once in either text, in
one order in both (the longest increasing subsequence), are common; the gaps between them are
compared in the same way. Where there is no such word, runs of 4 and of 16 words are taken. A gap
without any is left to difflib where it is small, else it is told as replaced. So n words cost
n log n, where difflib alone would cost n^2.
"""

import difflib
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

MAX_CHARS = 1_000_000  # of each text; what follows is not compared
MAX_PAIRS = 10_000  # of words in a gap that difflib compares, which at worst is cubic

ANCHOR_WORDS = (1, 4, 16)

# A word with the white space after it. In scripts without spaces each character is one.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORDS = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s])\s*|\s+")


Run = tuple[str, ...]


class Piece(NamedTuple):
    """A stretch of both texts: the same words, up to white space, or others. Words with space."""

    is_same: bool
    left: list[str]
    right: list[str]


def compare(left: str, right: str) -> list[Piece]:
    """Stretches in order, same and different ones in turn, of the first `MAX_CHARS` of each."""
    words = [_WORDS.findall(text[:MAX_CHARS]) for text in (left, right)]
    bare = [[word.strip() for word in side] for side in words]
    pieces = []
    ends = (0, 0)
    for one, two, size in _merged(_matches(*bare)):
        if (one, two) != ends:
            pieces.append(Piece(False, words[0][ends[0] : one], words[1][ends[1] : two]))
        pieces.append(Piece(True, words[0][one : one + size], words[1][two : two + size]))
        ends = one + size, two + size
    if ends != (len(words[0]), len(words[1])):
        pieces.append(Piece(False, words[0][ends[0] :], words[1][ends[1] :]))
    return pieces


Match = tuple[int, int, int]  # places in both, number of words


def _merged(matches: Iterator[Match]) -> Iterator[Match]:
    """Adjacent matches as one."""
    last: Match = (0, 0, 0)
    for one, two, size in matches:
        if (one, two) == (last[0] + last[2], last[1] + last[2]):
            last = (last[0], last[1], last[2] + size)
        else:
            if last[2]:
                yield last
            last = (one, two, size)
    if last[2]:
        yield last


def _matches(left: Sequence[str], right: Sequence[str]) -> Iterator[Match]:
    """Matches in order; gaps wait on a stack, so that no depth of them is too deep."""
    gaps: list[tuple[int, int, int, int] | Match] = [(0, len(left), 0, len(right))]
    while gaps:
        gap = gaps.pop()
        if len(gap) == 3:
            yield gap
            continue
        a, b, c, d = gap
        head = _num_equal(left, right, a, b, c, d, 1)
        tail = _num_equal(left, right, a + head, b, c + head, d, -1)
        if head:
            yield a, c, head
        if tail:
            gaps.append((b - tail, d - tail, tail))
        a, b, c, d = a + head, b - tail, c + head, d - tail
        if a == b or c == d:
            continue
        if anchors := _anchors(left[a:b], right[c:d]):
            bounds = [(a - 1, c - 1), *((a + i, c + j) for i, j in anchors), (b, d)]
            parts: list[tuple[int, int, int, int] | Match] = []
            for (i, j), (k, m) in pairwise(bounds):
                parts.append((i + 1, k, j + 1, m))
                if (k, m) != (b, d):
                    parts.append((k, m, 1))
            gaps += reversed(parts)
        elif (b - a) * (d - c) <= MAX_PAIRS:
            matcher = difflib.SequenceMatcher(None, left[a:b], right[c:d], autojunk=False)
            yield from ((a + i, c + j, n) for i, j, n in matcher.get_matching_blocks() if n)


def _num_equal(
    left: Sequence[str], right: Sequence[str], a: int, b: int, c: int, d: int, step: int
) -> int:
    """How many words are the same from the start (step 1) or the end (-1) of a gap."""
    limit, number = min(b - a, d - c), 0
    one, two = (a, c) if step == 1 else (b - 1, d - 1)
    while number < limit and left[one + step * number] == right[two + step * number]:
        number += 1
    return number


def _anchors(left: Sequence[str], right: Sequence[str]) -> list[tuple[int, int]]:
    """Places of equal words, in one order in both, by the shortest runs that give any."""
    for num_words in ANCHOR_WORDS:
        if found := _chain(_runs(left, num_words), _runs(right, num_words)):
            return found
    return []


def _runs(words: Sequence[str], num_words: int) -> list[Run]:
    return list(zip(*(words[first:] for first in range(num_words)), strict=False))


def _chain(left: Sequence[Run], right: Sequence[Run]) -> list[tuple[int, int]]:
    """Places of runs that stand once in either, in one order in both: as many as can be."""
    there = _once(right)
    pairs = [(i, there[word]) for word, i in _once(left).items() if word in there]
    ends: list[int] = []  # the smallest end, in `right`, of a chain of each length
    tips: list[int] = []  # the pair at that end
    before = [-1] * len(pairs)
    for number, (_, place) in enumerate(pairs):
        length = bisect_left(ends, place)
        ends[length : length + 1] = [place]
        tips[length : length + 1] = [number]
        before[number] = tips[length - 1] if length else -1
    chain, tip = [], tips[-1] if tips else -1
    while tip >= 0:
        chain.append(pairs[tip])
        tip = before[tip]
    return chain[::-1]


def _once(runs: Sequence[Run]) -> dict[Run, int]:
    """The places of runs that stand there once, in order."""
    places: dict[Run, int] = {}
    for place, run in enumerate(runs):
        places[run] = -1 if run in places else place
    return {run: place for run, place in places.items() if place >= 0}
