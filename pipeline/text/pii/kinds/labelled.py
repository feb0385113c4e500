"""Values that a label right before them makes what they are: `Passport No.: 123456789`.

Their shapes (eight digits, a date) are so common that, unlike values with a check digit (`named`),
a label somewhere on the line is not enough: between the two only fillers may stand.
"""

import re

from pipeline.text.pii.recognizer import DIGITS, LETTERS, Starts

# What may stand between the name of a value and the value: `No.: `, `": "`, ` is `, ` = (`
_FILLER = (
    rb"(?:[ \t:=#.,;*|\"'`()>_-]|\xc2[\xa0\xb0]"  # the last two: no-break space, degree sign
    rb"|(?:is|it'?s|was|are|on|of|at|the|as|and|no|nos?|nr|num|number|n[uo]mero|nummer|code|id|card"
    rb"|ist|war|am|der|die|den|est|es|le|la|el|il|al|lautet|numer|my|your|his|her|their"
    rb"|us|usa|uk|eu|u\.s\.|u\.k\.)"
    rb"(?![A-Za-z]))"
)
NUM_FILLERS = 10
# A form has its labels on the line before: `Date of birth:` and a line feed
_FEED = rb"\r?\n[ \t>|*]{0,8}"
# `dob`, `patient_dob`, `patientDob`
WORD_BEGIN = rb"(?<![A-Za-z0-9\[])"
_BEGIN = rb"(?:" + WORD_BEGIN + rb"|(?<=[a-z])(?=[A-Z]))"
# Of the longest fillers, with a word and a value of the usual lengths (triggers.Words.reach_bytes)
REACH_BYTES = 160

_BEFORE_NONE = LETTERS + DIGITS + b"["
VALUE_END = rb"(?![0-9A-Za-z_]|[-./,:][0-9])"


def beginning(letters: bytes) -> Starts:
    """Where matches of `labelled` can begin if the words begin with these letters, in any case."""
    return Starts(first=letters.lower() + letters.upper(), not_after=_BEFORE_NONE)


def labelled(
    words: bytes, value: bytes, *, end: bytes = VALUE_END, begin: bytes = _BEGIN
) -> re.Pattern[bytes]:
    """A pattern for `value`, its group 1, after one of `words` and at most `NUM_FILLERS` fillers.

    The value may stand on the line that follows. Words begin where those of text or of identifiers
    do; only where those of text do with `begin=WORD_BEGIN`, which goes with `beginning`. `words`
    are alternatives in any case, `value` keeps its case. A tag before the value is no filler and no
    word, so what follows `[PASSPORT]` is not named by it. Fillers begin with bytes of their own, so
    that a match takes time linear in the words that are there.
    """
    filler = rb"(?i:" + _FILLER + rb")"
    return re.compile(
        begin + rb"(?:(?i:" + words + rb"))(?![A-Za-z])"
        rb"(?:" + filler + rb"{1,%d}?|" % NUM_FILLERS
        + filler + rb"{0,%d}" % NUM_FILLERS + _FEED + filler + rb"{0,2}?)"
        rb"(?<![A-Za-z0-9])(" + value + rb")" + end
    )  # fmt: skip
