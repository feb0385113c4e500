"""Triggers: what one pass over every byte looks for, so that patterns see a few windows only.

A recogniser names one trigger. It is either a shape of digits and letters that `runs` finds (the
bits below), or `Words`, which `words` finds. A window is a run of bytes in which a match of the
pattern can begin, and the margins around it that the match and its judgement may look at.

EMAIL   the longest run of address characters around an @ that has such characters on both sides
IPV4    a run of numbers with four of at most three digits joined by dots
IPV6    a run of hexadecimal digits, colons and dots that begins like 2000::/3, the only range of
        global unicast addresses that IANA has given out
LOCAL_IPV6  such a run that begins with an f and three more of them; and ::1
MAC     six pairs of hexadecimal digits joined by colons or by hyphens, or three groups of four
        joined by dots, with nothing of the kind on either side
PHONE   a run of numbers with groups of 3, 3 and 4 digits, or seven digits after a +
SSN     a run of numbers with groups of 3, 2 and 4 digits
CPF     a run of numbers with groups of 3, 3, 3 and 2 digits
CARD    a run of numbers with 13 digits that are joined or separated by one space or hyphen
NUMBER  a run of numbers with at least seven digits, whatever their grouping
IBAN    two letters and two digits with no letter or digit before them
MIXED   a run of 8 to 24 ASCII letters and digits, at least four of them digits
WALLET  0x and 40 letters and digits, or a run of 25 to 35 of them that begins with 1 or 3
STREET  a run of numbers, then two words with a capital or a digit in front, or two letters and one
        such word (`12 5th Avenue`); a match may begin 20 bytes before the numbers and end
        400 after them

A run of numbers is digits with at most `MAX_GAP` of ` ( ) . - /` between them. IBAN and MIXED are
looked for where there is a digit only, so that a text of words costs nothing.

Which to take: a shape where the value has one that is rare in text; `Words` where the value begins
with a known prefix (`AKIA`, `ghp_`), or is what it is by a word before it alone (passport numbers).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.text.pii.runs import RUNS, find_runs
from pipeline.text.pii.windows import KINDS
from pipeline.text.pii.words import MIN_WORD_BYTES, find_words

EMAIL, IPV4, IPV6, LOCAL_IPV6, MAC, PHONE, SSN, CPF = RUNS[:8]
CARD, NUMBER, IBAN, MIXED, WALLET, STREET = RUNS[8:]


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """Words of at least three bytes, found in any case (ASCII's), inside of longer words too.

    With `begin_words` only where no letter or digit (ASCII's) stands before the word, or where it
    begins with a capital after a small letter. With `to_end`
    a window goes on to the end of its text: for what has no bound, and words that are rare.

    The promise that a pattern makes: each of its matches begins at most `lead_bytes` before one of
    the words (0: with it, or inside it), and ends at most `reach_bytes` after the run of URI
    characters (RFC 3986; no space, quote or angle bracket) that goes on from the word. So
    `ghp_` needs no reach to see all of a token, and `passport` needs some to see the number.

    Words whose windows would touch share one, margins included: what the windows hold is no more
    than the text, however often a word stands in it.
    """

    words: tuple[bytes, ...]
    lead_bytes: int = 0
    reach_bytes: int = 64
    begin_words: bool = False
    to_end: bool = False

    def __post_init__(self) -> None:
        short = [w for w in self.words if len(w) < MIN_WORD_BYTES]
        assert not short, f"want words of at least {MIN_WORD_BYTES} bytes, got {short}"
        assert self.lead_bytes >= 0 <= self.reach_bytes, self


Trigger = int | Words


def find_windows(texts: pa.StringArray, triggers: Sequence[Trigger]) -> list[NDArray[np.int64]]:
    """For each trigger its windows in order, (windows, 5), in the columns of `windows`.

    Places are bytes of the data buffer. Windows of one trigger do not overlap, and none leaves its
    text, margins included.
    """
    lists = tuple(dict.fromkeys(each for each in triggers if isinstance(each, Words)))
    runs = find_runs(texts) if any(isinstance(each, int) for each in triggers) else None
    words = find_words(texts, lists)
    found = []
    for each in triggers:
        if isinstance(each, Words):
            found.append(words[words[:, KINDS] == lists.index(each)])
        else:
            assert runs is not None
            found.append(runs[runs[:, KINDS] & each != 0])
    return found
