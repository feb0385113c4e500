"""Italy: the tax code of persons (codice fiscale; decree of 23 December 1976).

Three letters of the surname, three of the name, year, month (a letter), day (with 40 added for
women), the place of birth and a check letter modulo 26; where two people would share one, digits
are replaced by letters. Nothing else looks like it, so it needs no name.
"""

import re

from stdnum.it import codicefiscale

from pipeline.text.pii import triggers
from pipeline.text.pii.recognizer import LETTERS, WORD, Recognizer, Span, Starts

_DIGIT = rb"[0-9LMNPQRSTUV]"
_CODE = re.compile(
    rb"(?i)(?<![0-9A-Z_])[A-Z]{6}"
    + _DIGIT * 2
    + rb"[ABCDEHLMPRST]"
    + _DIGIT * 2
    + rb"[A-Z]"
    + _DIGIT * 3
    + rb"[A-Z](?![0-9A-Z_])"
)


def _accept(match: re.Match[bytes]) -> Span | None:
    return match.span() if codicefiscale.is_valid(match[0].decode("ascii")) else None


IT_CODICE_FISCALE = Recognizer(
    kind="it_codice_fiscale",
    trigger=triggers.MIXED,
    pattern=_CODE,
    accept=_accept,
    starts=Starts(first=LETTERS, not_after=WORD),
)
