"""Texts as the recognisers read them: with plain digits, spaces and hyphens in and beside numbers.

Web pages and typesetters put no-break spaces and hyphens into numbers (`+33 6 12 34 56 78` with
U+202F), and Chinese and Japanese text has full-width digits and signs (U+FF10 and on). Patterns
know ASCII's. So where such a character stands in a number, a copy of the texts with ASCII's is
read, and what is found there is told as bytes of the texts.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.text.buffers import strings, utf8
from pipeline.text.pii.recognizer import Recognizer
from pipeline.text.pii.spans import Spans, find_spans

_BLOCK_BYTES = 64
_SPACE, _HYPHEN, _ZERO, _LEFT, _RIGHT, _PLUS = (ord(char) for char in " -0()+")
_NOTHING = 0
_DIGIT, _SIDE = 1, 2  # of a byte: a digit; what may stand on the other side of a separator


def _table() -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    letters = bytes(range(ord("a"), ord("z") + 1)) + bytes(range(ord("A"), ord("Z") + 1))
    table[list(b"0123456789")] = _DIGIT | _SIDE
    table[list(letters + b"()+")] = _SIDE
    return table


_SIDES = _table()


def find_in_plain(
    texts: pa.StringArray,
    recognizers: Sequence[Recognizer],
    more: Sequence[NDArray[np.int64]] = (),
    near: NDArray[np.int64] | None = None,
) -> Spans:
    """`spans.find_spans` on the texts in plain characters; all places are those of `texts`."""
    plain = _plain(texts)
    if plain is None:
        return find_spans(texts, recognizers, more, near)
    found = find_spans(
        plain.texts,
        recognizers,
        [plain.places_of(spans) for spans in more],
        None if near is None else plain.places_of(near),
    )
    begins, ends = (plain.originals(places) for places in found[:2])
    return Spans(begins, ends, found.recognizers)


class _Plain(NamedTuple):
    """Texts with other characters, and how many bytes fewer there are up to each of these."""

    texts: pa.StringArray
    first: int  # where the data began
    begins: NDArray[np.int64]  # of the characters that were replaced, in the data as it was
    fewer: NDArray[np.int64]  # (characters + 1,)

    def places_of(self, originals: NDArray[np.int64]) -> NDArray[np.int64]:
        fewer = self.fewer[np.searchsorted(self.begins, originals)]
        places: NDArray[np.int64] = originals - self.first - fewer
        return places

    def originals(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        own = self.begins - self.first - self.fewer[:-1]
        originals: NDArray[np.int64] = (
            places + self.first + self.fewer[np.searchsorted(own, places)]
        )
        return originals


def _plain(texts: pa.StringArray) -> _Plain | None:
    offsets, data = utf8(texts)
    num = _scan(offsets, data, np.empty(0, np.int64), np.empty(0, np.uint8))
    if not num:
        return None
    begins, signs = np.empty(num, np.int64), np.empty(num, np.uint8)
    _scan(offsets, data, begins, signs)
    # U+00A0 has two bytes, all others three
    fewer = np.concatenate([[0], np.cumsum(np.where(data[begins] == 0xC2, 1, 2))])
    first = int(offsets[0])
    new_offsets = offsets - first - fewer[np.searchsorted(begins, offsets)]
    out = np.empty(int(new_offsets[-1]), np.uint8)
    _fill(data, first, int(offsets[-1]), begins, signs, out)
    return _Plain(strings(new_offsets.astype(np.int32), out), first, begins, fewer)


@njit(cache=True, nogil=True)
def _scan(offsets, data, begins, signs):  # type: ignore[no-untyped-def]
    """How many characters there are to replace; those for which there is room are filled in."""
    num, row = 0, 0
    first, last = np.int64(offsets[0]), np.int64(offsets[-1])
    for block in range(first, last, _BLOCK_BYTES):
        end = block + _BLOCK_BYTES if block + _BLOCK_BYTES < last else last
        # most blocks have no such byte; without a branch this takes no time
        leads = 0
        for i in range(block, end):
            leads += (data[i] == 0xC2) | (data[i] == 0xE2) | (data[i] == 0xEF)
        if leads == 0:
            continue
        while offsets[row + 1] <= block:
            row += 1
        own = row
        for i in range(block, end):
            if data[i] == 0xC2 or data[i] == 0xE2 or data[i] == 0xEF:
                while offsets[own + 1] <= i:
                    own += 1
                sign = _sign(data, i, np.int64(offsets[own]), np.int64(offsets[own + 1]))
                if sign:
                    if num < len(begins):
                        begins[num], signs[num] = i, sign
                    num += 1
    return num


@njit(cache=True, nogil=True)
def _sign(data, i, row_begin, row_end):  # type: ignore[no-untyped-def]
    """What stands in ASCII for the character that begins at i, or nothing."""
    size = 2 if data[i] == 0xC2 else 3
    if i + size > row_end:
        return _NOTHING
    second, third = data[i + 1], data[i + size - 1]
    if data[i] == 0xEF:
        return _full_width(third) if second == 0xBC else _NOTHING
    if data[i] == 0xC2:
        sign = _SPACE if second == 0xA0 else _NOTHING
    elif second == 0x80 and (third == 0x87 or third == 0x89 or third == 0xAF):
        sign = _SPACE  # figure, thin, narrow no-break
    elif (second == 0x80 and 0x90 <= third <= 0x93) or (second == 0x88 and third == 0x92):
        sign = _HYPHEN  # hyphen, no-break hyphen, figure dash, en dash; minus
    else:
        sign = _NOTHING
    if sign == _NOTHING or i == row_begin or i + size == row_end:
        return _NOTHING
    before, after = _side(data, i - 1, row_begin, -1), _side(data, i + size, row_end, 1)
    joins = before & _SIDE and after & _SIDE and (before | after) & _DIGIT
    return sign if joins else _NOTHING


@njit(cache=True, nogil=True)
def _side(data, i, limit, step):  # type: ignore[no-untyped-def]
    """The properties of the character that ends (step -1) or begins (1) at i."""
    if data[i] < 0x80:
        return _SIDES[data[i]]
    begin = i - 2 if step < 0 else i
    inside = begin >= limit if step < 0 else begin + 3 <= limit
    if inside and data[begin] == 0xEF and data[begin + 1] == 0xBC:
        sign = _full_width(data[begin + 2])
        return _SIDES[sign] if sign else 0
    return 0


@njit(cache=True, nogil=True)
def _full_width(third):  # type: ignore[no-untyped-def]
    """The digit, parenthesis, plus or hyphen, of U+FF08 to U+FF19, by its last byte."""
    if 0x90 <= third <= 0x99:
        return np.int64(_ZERO) + third - 0x90
    if third == 0x88:
        return _LEFT
    if third == 0x89:
        return _RIGHT
    if third == 0x8B:
        return _PLUS
    return _HYPHEN if third == 0x8D else _NOTHING


@njit(cache=True, nogil=True)
def _fill(data, first, last, begins, signs, out):  # type: ignore[no-untyped-def]
    i, w = first, 0
    for k in range(len(begins)):
        out[w : w + begins[k] - i] = data[i : begins[k]]
        w += begins[k] - i
        out[w] = signs[k]
        w += 1
        i = begins[k] + (2 if data[begins[k]] == 0xC2 else 3)
    out[w:] = data[i:last]
