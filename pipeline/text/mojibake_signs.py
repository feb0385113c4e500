# ruff: noqa: RUF001 (the characters are what this is about)
"""What garbled text looks like, as a table of characters that hardly ever stand side by side.

UTF-8 that was read as some single-byte encoding (`Ã©` for `é`) leaves pairs and triples of
characters that no language writes: a lower-case accented letter before an upper-case one, a
currency sign before a letter. ftfy (Speer 2019, doi:10.5281/zenodo.2591652) has a regular
expression for them; here is a table of the same categories, taken from ftfy itself, that a kernel
looks up at each character. It holds all that the expression matches, and a little more: where that
asks for four or five characters in a row, the first three do here.
"""

import functools
import re
from typing import NamedTuple

import numpy as np
from ftfy.badness import MOJIBAKE_CATEGORIES
from numpy.typing import NDArray

NUM_CODES = 0x10000  # no character above U+FFFF is in any category
NEXT_LINE = 0x85  # a line end, or beside U+0080..U+00FF half a letter: `Ã` U+0085 is `Å`

_ANY = r"\s\S"
_WORD = r"\w"
_ASCII_LETTERS = "a-zA-Z"
_ACCENTED = "{lower_accented}{upper_accented}"
_SIGNS = "{box}{start_punctuation}{end_punctuation}{currency}{numeric}{law}"
_ARABIC_TAIL = "{common}{currency}{bad}{numeric}{start_punctuation}ŸŠ®°µ»"
_CYRILLIC_TAIL = "{c1}{bad}{start_punctuation}{end_punctuation}{currency}°µ"

# Three characters in a row, as the contents of regular expression classes; most rules need two.
_RULES = (
    (_ANY, _ANY, r"\x80-\x84\x86-\x9f"),
    (_ANY, r"\x80-\xff", r"\x85"),
    (_ANY, r"\x85", r"\x80-\xff"),
    (_ANY, "{bad}" + _ACCENTED + _SIGNS, "{bad}"),
    (_ASCII_LETTERS, "{lower_common}{upper_common}", "{bad}"),
    (_ANY, "{bad}", _ACCENTED + _SIGNS),
    (
        _ANY,
        "{lower_accented}{lower_common}{box}{end_punctuation}{currency}{numeric}",
        "{upper_accented}",
    ),
    (_ANY, "{box}{end_punctuation}{currency}{numeric}", "{lower_accented}"),
    (_ANY, "{lower_accented}{box}{end_punctuation}", "{currency}"),
    (r"\s", "{upper_accented}", "{currency}"),
    (_ANY, "{upper_accented}{box}", "{numeric}{law}"),
    (_ACCENTED + "{box}{currency}{end_punctuation}", "{start_punctuation}", "{numeric}"),
    (_ACCENTED + "{currency}{numeric}{box}{law}", "{end_punctuation}", "{start_punctuation}"),
    (_ANY, "{currency}{numeric}{box}", "{start_punctuation}"),
    ("a-z", "{upper_accented}", "{start_punctuation}{currency}"),
    (_ANY, "{box}", "{kaomoji}{end_punctuation}"),
    (
        _ANY,
        _ACCENTED + "{currency}{numeric}{start_punctuation}{end_punctuation}{law}",
        "{box}",
    ),
    (_ACCENTED, "{start_punctuation}{end_punctuation}", _WORD),
    (_ANY, "Œœ", "^A-Za-z"),
    (_ANY, "{upper_accented}", "°"),
    (_ANY, "ÂÃÎÐ", r"€œŠš¢£Ÿž\xa0\xad®°©·»–—´¡ {start_punctuation}{end_punctuation}"),
    (_ANY, "×", "²³"),
    ("ØÙ", _ARABIC_TAIL, "ØÙ"),
    (_ANY, "à", "²µ¹¼½¾"),
    (_ANY, "√", "±∂†≠®™´≤≥¥µø"),
    (_ANY, "≈", "°¢"),
    ("‚", "Ä", "ìîïòôúùû†°¢π"),
    ("‚", "âó", "àä°ê"),
    (_ANY, "в", "Ђ"),
    ("ВГРС", _CYRILLIC_TAIL, "ВГРС"),
    ("Г", "ў", "В"),
    (_ANY, "β", "€"),
    ("ΒΓΞΟ", _CYRILLIC_TAIL, "ΒΓΞΟ"),
    (_ANY, "ā", "€"),
)


class Signs(NamedTuple):
    """Characters in classes that no rule tells apart, and which of these do not go together."""

    classes: NDArray[np.uint8]  # of each code point below `NUM_CODES`; above: of U+FFFF
    pairs: NDArray[np.bool_]  # (class, class): third and second of a triple, with any first
    triples: NDArray[np.bool_]  # (class, class, class)


@functools.cache
def signs() -> Signs:
    """The table, made in about 0.1 s by the first document that is not ASCII."""
    rules = [[_members(part) for part in rule] for rule in _RULES]
    packed = np.packbits(np.stack([part for rule in rules for part in rule], axis=1), axis=1)
    keys = packed.view(f"V{packed.shape[1]}").reshape(-1)  # (NUM_CODES,): the sets it is in
    _, first, classes = np.unique(keys, return_index=True, return_inverse=True)
    assert len(first) < 256, "more classes of characters than a byte can number"
    triples = np.zeros((len(first),) * 3, np.bool_)
    for before, left, right in ([part[first] for part in rule] for rule in rules):
        triples |= before[:, None, None] & left[None, :, None] & right[None, None, :]
    pairs = np.logical_or.reduce(triples, axis=0)
    return Signs(classes.reshape(-1).astype(np.uint8), pairs, triples)


@functools.cache
def _members(contents: str) -> NDArray[np.bool_]:
    """Which code points a regular expression class has."""
    found = re.findall(f"[{contents.format(**MOJIBAKE_CATEGORIES)}]", _all_characters())
    members = np.zeros(NUM_CODES, np.bool_)
    members[[ord(character) for character in found]] = True
    return members


@functools.cache
def _all_characters() -> str:
    return "".join(chr(code) for code in range(NUM_CODES) if not 0xD800 <= code < 0xE000)
