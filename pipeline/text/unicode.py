"""Unicode normalisation of the documents that need it (UAX #15), found by its quick check.

The quick check reads code points: a text is normalised if none of them is excluded from the form or
may compose with the one before it, and combining marks stand in canonical order. ASCII never fails,
nor does nearly any text as people type it, so few documents reach the normaliser.
"""

import functools
import re
import unicodedata
from collections.abc import Iterator
from itertools import chain
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from pipeline.text.buffers import replace_rows, utf8

Form = Literal["NFC", "NFKC"]

# Python sorts the combining marks of a character by insertion, 7 s of CPU for 100,000 pairs of two.
_LONG_RUN = 64
_SUSPECT = 255  # above every canonical combining class in use (1..240)
_FIRST_CHANGED = {"NFC": 0xCC, "NFKC": 0xC2}  # lead bytes of U+0300 and of U+00A0
_TABLE_SIZE = 0x30000  # above it no assigned character decomposes or combines
# CJK, Hangul syllables and private use make up most of the table, and none of them can fail.
_CHECKED = (
    range(0xA0, 0x3400),
    range(0xA000, 0xAC00),
    range(0xD7A4, 0xD800),
    range(0xF900, 0x20000),
)
_COMPATIBILITY_IDEOGRAPHS = range(0x2F800, 0x2FA20)
_JAMO = (
    range(0x1161, 0x1176),
    range(0x11A8, 0x11C3),
)  # compose, though no decomposition lists them


class Normalised(NamedTuple):
    """The texts, and per row whether normalisation changed it."""

    texts: pa.StringArray
    changed: NDArray[np.bool_]


def normalise(texts: pa.StringArray, form: Form) -> Normalised:
    """Bring every text into `form`; rows that are in it already keep their bytes. Idempotent.

    The characters known are those of Python's `unicodedata` (3.11: Unicode 14).
    """
    offsets, data = utf8(texts)
    mask = np.zeros(len(texts), np.bool_)
    _find_suspects(offsets, data, _table(form), _FIRST_CHANGED[form], mask)
    if not mask.any():
        return Normalised(texts, mask)
    before = texts.filter(pa.array(mask))
    # Row by row, but suspects only. pyarrow's utf8_normalize decomposes for NFC and NFKC too, at
    # least up to version 25 (apache/arrow#51225).
    rows = [unicodedata.normalize(form, _ordered(row, form)) for row in before.to_pylist()]
    after = pa.array(rows, pa.string())
    changed = mask.copy()
    changed[mask] = pc.not_equal(before, after).to_numpy(zero_copy_only=False)
    if not changed.any():
        return Normalised(texts, changed)
    return Normalised(replace_rows(texts, mask, after), changed)


def _ordered(text: str, form: Form) -> str:
    """`text` with its long runs of combining marks in canonical order (UAX #15, D108 and D109).

    That is what the first step of normalising makes of them, so the normalised text is the same.
    """
    marks = _marks(form)

    def in_order(run: re.Match[str]) -> str:
        return "".join(sorted(run[0].translate(marks.decomposed), key=unicodedata.combining))

    return text if text.isascii() else marks.long_run.sub(in_order, text)


class _Marks(NamedTuple):
    long_run: re.Pattern[str]  # of characters that are marks, or come apart into nothing else
    decomposed: dict[int, str]  # what those characters come apart into


@functools.cache
def _marks(form: Form) -> _Marks:
    decomposing: Literal["NFD", "NFKD"] = "NFD" if form == "NFC" else "NFKD"
    parts = {code: unicodedata.normalize(decomposing, chr(code)) for code in chain(*_CHECKED)}
    marks = {code: part for code, part in parts.items() if all(map(unicodedata.combining, part))}
    members = "".join(map(chr, marks))
    apart = {code: part for code, part in marks.items() if part != chr(code)}
    return _Marks(re.compile(f"[{members}]{{{_LONG_RUN},}}"), apart)


@functools.cache
def _table(form: Form) -> NDArray[np.uint8]:
    """Per code point: its combining class, or `_SUSPECT` if the quick check says No or Maybe."""
    table = np.zeros(_TABLE_SIZE, np.uint8)
    for code in chain(*_CHECKED, _COMPATIBILITY_IDEOGRAPHS):
        character = chr(code)
        excluded = unicodedata.normalize(form, character) != character
        table[code] = _SUSPECT if excluded else unicodedata.combining(character)
    table[list(chain(*_JAMO))] = _SUSPECT
    table[list(_second_characters())] = _SUSPECT
    return table


def _second_characters() -> Iterator[int]:
    """Code points that compose with the one before them."""
    for code in chain(*_CHECKED):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            yield int(parts[1], 16)


@njit(cache=True, nogil=True)
def _find_suspects(offsets, data, table, first_changed, suspects):  # type: ignore[no-untyped-def]
    for row in range(len(offsets) - 1):
        begin, end = offsets[row], offsets[row + 1]
        text = data[begin:end]  # indexed from 0, LLVM runs this 16 bytes at a time: 36 x faster
        highest = np.uint8(0)
        for i in range(len(text)):
            highest = max(highest, text[i])
        if highest >= first_changed:
            suspects[row] = _is_suspect(data, begin, end, table)


@njit(cache=True, nogil=True)
def _is_suspect(data, i, end, table):  # type: ignore[no-untyped-def]
    last = 0
    while i < end:
        byte = np.int64(data[i])
        if byte < 0x80:
            last = 0
            i += 1
            continue
        if byte < 0xE0:
            code = (byte & 0x1F) << 6 | (data[i + 1] & 0x3F)
            i += 2
        elif byte < 0xF0:
            code = (byte & 0x0F) << 12 | np.int64(data[i + 1] & 0x3F) << 6 | (data[i + 2] & 0x3F)
            i += 3
        else:
            code = (byte & 7) << 18 | np.int64(data[i + 1] & 0x3F) << 12
            code |= np.int64(data[i + 2] & 0x3F) << 6 | (data[i + 3] & 0x3F)
            i += 4
        value = table[code] if code < len(table) else 0
        if value == _SUSPECT or 0 < value < last:
            return True
        last = value
    return False
