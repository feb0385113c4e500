"""What a word is to deduplication: one table over the code points.

A word is a maximal run of letters, marks and numbers (Unicode categories L, M, N), case-folded;
everything else separates words. So two texts that differ in case, punctuation, markup characters or
white space have the same words: those are the differences of copies of one text on two sites.

Case folding is Unicode's simple folding: one code point to one (`str.casefold` where that gives
one, else `str.lower` where that gives one, else the code point itself). Full folding would also
equate "ß" and "ss".

Code points of scripts that put no space between words (CJK ideographs, kana, Thai, Lao, Khmer,
Myanmar) are each a word of their own. Format characters (category Cf: soft hyphen, joiners, marks
of direction, byte order mark) and the variation selectors U+FE00..FE0F are passed over, as if they
were not there; the zero-width space U+200B separates. Code points from U+40000 on (tags, private
use) separate.

The characters of a text are those of its words, folded, and one space between two words that
something separates: "Foo -- bar" is "foo bar", and two ideographs that touch have nothing between
them.

The categories are those of Python's `unicodedata`, so a signature depends on `UNICODE_VERSION`
where a text has code points newer than it: it belongs into the fingerprint of stored signatures.
"""

import functools
import unicodedata

import numpy as np

UNICODE_VERSION = unicodedata.unidata_version

NUM_CODE_POINTS = 0x40000  # planes 0..3: beyond them there are no letters
SEPARATOR, IGNORED = 0, 1  # U+0000 and U+0001 are themselves separators, so both values are free
ALONE = 1 << 31  # flag: a word of its own

_ZERO_WIDTH_SPACE = 0x200B
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)
_UNSPACED = (
    (0x0E00, 0x0F00),  # Thai, Lao
    (0x1000, 0x10A0),  # Myanmar
    (0x1780, 0x1800),  # Khmer
    (0x3005, 0x3008),  # ideographic iteration mark, closing mark and zero
    (0x3041, 0x3100),  # Hiragana, Katakana
    (0x31F0, 0x3200),  # Katakana extensions
    (0x3400, 0x4DC0),  # CJK ideographs, extension A
    (0x4E00, 0xA000),  # CJK ideographs
    (0xA9E0, 0xAA00),  # Myanmar, extension B
    (0xAA60, 0xAA80),  # Myanmar, extension A
    (0xF900, 0xFB00),  # CJK compatibility ideographs
    (0xFF66, 0xFFA0),  # half-width Katakana
    (0x1AFF0, 0x1B170),  # Kana, extended and supplement
)
_IDEOGRAPHIC_PLANES = 0x20000  # planes 2 and 3 hold CJK ideographs and nothing else


@functools.cache
def word_table() -> np.ndarray:
    """Folded code point, or SEPARATOR, or IGNORED, for each code point; uint32 (NUM_CODE_POINTS,).

    `ALONE` is set on those that are a word each. Takes 0.1 s, once per process.
    """
    table = np.zeros(NUM_CODE_POINTS, np.uint32)
    table[:_IDEOGRAPHIC_PLANES] = [_entry(point) for point in range(_IDEOGRAPHIC_PLANES)]
    table[_IDEOGRAPHIC_PLANES:] = np.arange(_IDEOGRAPHIC_PLANES, NUM_CODE_POINTS) | ALONE
    for start, stop in _UNSPACED:
        block = table[start:stop]
        block[block > IGNORED] |= np.uint32(ALONE)
    table.flags.writeable = False
    return table


@functools.cache
def mark_table() -> np.ndarray:
    """1 for combining marks (category M), else 0; uint32 (NUM_CODE_POINTS,).

    A mark in a script without spaces is a word like its letter, but no cut may come between them.
    """
    points = range(_IDEOGRAPHIC_PLANES)
    table = np.zeros(NUM_CODE_POINTS, np.uint32)
    table[:_IDEOGRAPHIC_PLANES] = [unicodedata.category(chr(point))[0] == "M" for point in points]
    table.flags.writeable = False
    return table


def _entry(point: int) -> int:
    category = unicodedata.category(chr(point))
    if (category == "Cf" and point != _ZERO_WIDTH_SPACE) or point in _VARIATION_SELECTORS:
        return IGNORED
    return _fold(point) if category[0] in "LMN" else SEPARATOR


def _fold(point: int) -> int:
    character = chr(point)
    for folded in (character.casefold(), character.lower()):
        if len(folded) == 1:
            return ord(folded)
    return point
