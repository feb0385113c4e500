"""Texts as a word n-gram model wants them: one line of words for each line of text.

Normalised as cc_net does (Wenzek et al. 2020, arXiv:1911.00359, section 4.2; the table of its
`text_normalizer`): lower case, accents stripped (NFD without general category Mn), digits (Nd) to
0, the punctuation of other scripts and of typesetters to ASCII, control characters removed. What
differs, because cc_net cuts lines into SentencePiece's pieces next and a model of the user's own
text does without one:

- Punctuation and symbols (P*, S*) are words of their own, and a run of one of them is one word:
  "end..." is "end .". So "end." and "end" are not two words, and a ruler of 70 hyphens is not 70
  easy guesses. Nor can a text contain `<s>`, `</s>` or `<unk>`, which models take for their own.
- Each character of a script that is written without spaces is a word.
- All of it by code point: a final capital sigma becomes what any other does.
- Only white space (Unicode's White_Space) separates words: a tab does not join them.
"""

# ruff: noqa: RUF001 - look-alike characters are what is replaced

import functools
import math
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from filters.kernels.characters import NUM_CODE_POINTS, WHITE_SPACE
from filters.kernels.compiled import kernel
from filters.kernels.text import BLANK, LF, decode

VERSION = 1  # of the normalisation: a model belongs to the one that its text was normalised by

WORD, NOTHING, SPACE, LINE_END, SIGN, ALONE = range(6)  # what a code point is

# The Unicode punctuation that cc_net replaces, by what it becomes. Of "...", " - " and ". " one
# sign is left. A full-width digit one, in its list a quotation mark, is 0 by then.
PUNCTUATION = {
    ",": "，、",
    ".": "。．…",
    '"': "„”“«»」「《》",
    "'": "´’",
    ":": "∶：",
    "?": "？",
    "!": "！",
    "(": "（",
    ")": "）",
    ";": "；",
    "-": "–—━►",
    "~": "～",
    "<": "〈",
    ">": "〉",
    "[": "【",
    "]": "】",
    "%": "％",
}
_ASCII = {ord(other): sign for sign, others in PUNCTUATION.items() for other in others}

# Thai and Lao, Tibetan, Myanmar, Khmer, kana, Han: written without spaces between words.
_UNSPACED = (
    range(0x0E00, 0x0F00),
    range(0x0F00, 0x10A0),
    range(0x1780, 0x1800),
    range(0x3005, 0x3008),
    range(0x3041, 0x3100),
    range(0x3400, 0x4DC0),
    range(0x4E00, 0xA000),
    range(0xF900, 0xFB00),
    range(0xFF66, 0xFFA0),
    range(0x20000, 0x323B0),
)
# Planes 0 and 1, the compatibility ideographs and the marks of plane 14: elsewhere a code point is
# a word's and stays as it is. Ideographs and the surrogates, never in UTF-8, need no look.
_CHANGED = (
    range(0x3400),
    range(0x4DC0, 0x4E00),
    range(0xA000, 0xD800),
    range(0xE000, 0x20000),
    range(0x2F800, 0x2FA20),
    range(0xE0000, 0xE0200),
)


class Table(NamedTuple):
    """What becomes of each code point."""

    letters: np.ndarray  # uint8 (256,): what becomes of an ASCII letter or digit, else 0
    kinds: np.ndarray  # uint8 (NUM_CODE_POINTS,): WORD ... ALONE
    places: np.ndarray  # int32 (NUM_CODE_POINTS,): in `pool`; -1 where it stays as it is
    pool: np.ndarray  # uint8: a length and that many bytes of UTF-8, one after the other
    growth: int  # bytes written for a byte read, at most


@functools.cache
def normalisation() -> Table:
    """The table; takes 0.1 s, once per process."""
    kinds = np.full(NUM_CODE_POINTS, WORD, np.uint8)
    places = np.full(NUM_CODE_POINTS, -1, np.int32)
    pool, known = bytearray(), dict[str, int]()
    for block in _UNSPACED:
        kinds[block.start : block.stop] = ALONE
    growth = 2.0  # a sign of one byte and the space before it
    for code, kind, text in _changes():
        if kind != WORD or kinds[code] != ALONE:
            kinds[code] = kind
        if text != chr(code):
            utf8 = text.encode()
            growth = max(growth, (len(utf8) + 1) / len(chr(code).encode()))
            if text not in known:
                known[text] = len(pool)
                pool += bytes([len(utf8)]) + utf8
            places[code] = known[text]
    kinds[list(WHITE_SPACE)] = SPACE
    kinds[[LF, 0x0D]] = LINE_END
    letters = np.zeros(256, np.uint8)
    for code in range(128):
        if chr(code).isalnum():
            letters[code] = ord(normalised(chr(code))[1])
    arrays = letters, kinds, places, np.frombuffer(bytes(pool), np.uint8)
    for array in arrays:
        array.flags.writeable = False
    return Table(*arrays, math.ceil(growth))


def _changes() -> Iterator[tuple[int, int, str]]:
    """Code points that may change: what each is, and its text."""
    for block in _CHANGED:
        for code in block:
            yield code, *normalised(chr(code))


def normalised(character: str) -> tuple[int, str]:
    """What one character is, and what it becomes."""
    kept = []
    for part in unicodedata.normalize("NFD", character.lower()):
        category = unicodedata.category(part)
        if category == "Nd":
            kept.append("0")
        elif category not in ("Mn", "Cc"):
            kept.append(_ASCII.get(ord(part), part))
    text = "".join(kept)
    if not text:
        return NOTHING, text
    return (SIGN if unicodedata.category(text[0])[0] in "PS" else WORD), text


@kernel
def normalise_lines(
    offsets: np.ndarray,
    data: np.ndarray,
    letters: np.ndarray,
    kinds: np.ndarray,
    places: np.ndarray,
    pool: np.ndarray,
    lines: np.ndarray,
    counts: np.ndarray,
) -> int:
    """The normalised lines of all texts, each ended by LF, its words joined by one space.

    Lines without words are left out. `lines` has room for `growth` bytes per byte of text and one
    per text; the number written is returned. `counts`, int64 (3, n): lines, words, bytes per text.
    """
    out = 0
    for row in range(len(offsets) - 1):
        at, stop = offsets[row], offsets[row + 1]
        begin = line = out
        num_lines = num_words = 0
        gap, sign = True, -1  # whether a word ends here; the sign that it was
        while at < stop:
            if not gap and letters[data[at]]:  # most bytes by far, at a fifth of the time
                lines[out] = letters[data[at]]
                out += 1
                at += 1
                continue
            here = at
            code: Any = np.int64(data[at])
            if code < 0x80:
                at += 1
            else:
                code, at = decode(data, at, stop)
            kind = kinds[code]
            if kind == NOTHING or (kind == SIGN and code == sign):
                continue
            sign = -1
            if kind == SPACE:
                gap = True
                continue
            if kind == LINE_END:
                if out > line:
                    lines[out] = LF
                    out += 1
                    num_lines += 1
                    line = out
                gap = True
                continue
            if kind != WORD:
                gap = True
            if gap:
                num_words += 1
                if out > line:
                    lines[out] = BLANK
                    out += 1
            gap = kind != WORD
            if kind == SIGN:
                sign = code
            place = places[code]
            if place < 0:
                for source in range(here, at):
                    lines[out] = data[source]
                    out += 1
            else:
                for source in range(place + 1, place + 1 + pool[place]):
                    lines[out] = pool[source]
                    out += 1
        if out > line:
            lines[out] = LF
            out += 1
            num_lines += 1
        counts[0, row] = num_lines
        counts[1, row] = num_words
        counts[2, row] = out - begin
    return out


_FACTOR, _SEED = np.uint64(0x100000001B3), np.uint64(0xCBF29CE484222325)  # FNV-1a, 64 bits


@kernel
def find_words(
    lines: np.ndarray, size: int, keys: np.ndarray, slots: np.ndarray, new: np.ndarray
) -> int:
    """The place in a table of each word of the lines; words that it lacks are added.

    `keys` uint64, a power of two of them and over twice as many as there can be words: the hash of
    the word there, 0 where none is. `slots` int32, one for each word. `new` int64 (3, words):
    begin, end and place of the words added, whose number is returned. 64 bits tell words apart.
    """
    mask = np.uint64(len(keys) - 1)
    num_words = num_new = begin = 0
    value = _SEED
    for at in range(size):
        byte = lines[at]
        if byte != BLANK and byte != LF:
            value = (value ^ np.uint64(byte)) * _FACTOR
            continue
        value = max(value ^ (value >> np.uint64(32)), np.uint64(1))
        slot = value & mask
        while keys[slot] != 0 and keys[slot] != value:
            slot = (slot + np.uint64(1)) & mask
        if keys[slot] == 0:
            keys[slot] = value
            new[0, num_new] = begin
            new[1, num_new] = at
            new[2, num_new] = slot
            num_new += 1
        slots[num_words] = slot
        num_words += 1
        begin, value = at + 1, _SEED
    return num_new


@kernel
def count_flagged(
    num_words: np.ndarray, slots: np.ndarray, flags: np.ndarray, counts: np.ndarray
) -> None:
    """How many of each text's words have a flag at their place in the table, into `counts`."""
    word = 0
    for row in range(len(num_words)):
        flagged = 0
        for _ in range(num_words[row]):
            flagged += flags[slots[word]]
            word += 1
        counts[row] = flagged
