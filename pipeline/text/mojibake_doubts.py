# ruff: noqa: RUF001, RUF002 (the characters are what this is about)
"""When a repair of garbled text is not to be believed.

ftfy takes every line for garbled that can be read as another encoding and looks better so. Three
kinds of lines do, though nothing is to be mended, or not so:

Quotations   a text about garbled text: `like “Ã©” or “Ã§”`.
Tables       the letters of an alphabet, of which two make a letter of another script: of `Ö×ØÙ`
             becomes `ÖרÙ`.
Other codes  what is no UTF-8 at all (GBK, EUC-JP) and by chance has sequences of it: nearly all of
             the line is as bad afterwards.
"""

import re
from collections import Counter

from ftfy import TextFixerConfig, fix_encoding
from ftfy.badness import badness

FTFY = TextFixerConfig(explain=False)
# Of 46 lines in EUC-JP or GBK of the development corpus the best keeps 2 of 5 signs of garbling; of
# the lines of it that are garbled UTF-8 none keeps any.
_MAX_STILL_BAD = 0.25
_QUOTES = "\"'`´“”„‟‘’‚«»‹›「」『』"
_MARKS = "[ \xa0\u200e\u200f]?"
_QUOTED = re.compile(f"[{_QUOTES}]{_MARKS}([^\x00-\x7f{_QUOTES}]{{2,8}}?){_MARKS}[{_QUOTES}]")
_LATIN, _OTHER_SCRIPT = "[À-ÖØ-öø-ɏ]", "[Ͱ-᷿]"  # U+0370..U+1DFF: Greek to the last Indic script
_MIXED = re.compile(f"{_LATIN}{_OTHER_SCRIPT}|{_OTHER_SCRIPT}{_LATIN}")


def is_doubtful(before: str, after: str) -> bool:
    """Whether the line `before` should stay, though ftfy makes `after` of it."""
    num_signs = badness(before)
    if badness(after) > _MAX_STILL_BAD * num_signs:
        return True
    if _MIXED.search(after) and not _MIXED.search(before):
        return True
    return 2 * _num_quoted(before) > num_signs


def _num_quoted(line: str) -> int:
    """How many single characters stand garbled in quotation marks, and nothing else in them."""
    quoted = Counter(_QUOTED.findall(line))
    return sum(number for text, number in quoted.items() if len(fix_encoding(text, FTFY)) == 1)
