"""India: Aadhaar numbers (UIDAI) and permanent account numbers (PAN; Income Tax Department).

Aadhaar: twelve digits, the first 2 to 9, Verhoeff's check digit, no palindrome; one number in ten
passes, so a name must stand before it. PAN: five letters, of which the fourth says what the holder
is, four digits and a letter that checks by a rule that is not published; upper case only.
"""

import re

from stdnum.in_ import aadhaar, pan

from pipeline.text.pii import triggers
from pipeline.text.pii.kinds.named import AFTER_NUMBER, BEFORE_NUMBER, named, number
from pipeline.text.pii.recognizer import LETTERS, WORD, Recognizer, Span, Starts

_PAN = re.compile(BEFORE_NUMBER + rb"[A-Z]{3}[ABCFGHJKLPT][A-Z][0-9]{4}[A-Z]" + AFTER_NUMBER)


def _is_aadhaar(value: bytes) -> bool:
    return bool(aadhaar.is_valid(value.decode("ascii")))


def _accept_pan(match: re.Match[bytes]) -> Span | None:
    return match.span() if pan.is_valid(match[0].decode("ascii")) else None


IN_AADHAAR = named(
    "in_aadhaar", (b"aadhaar", b"aadhar", b"adhaar", b"uidai"), number(4, 4, 4), _is_aadhaar
)
IN_PAN = Recognizer(
    kind="in_pan",
    trigger=triggers.MIXED,
    pattern=_PAN,
    accept=_accept_pan,
    starts=Starts(first=LETTERS[26:], not_after=WORD),
)
