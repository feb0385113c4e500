"""United Kingdom: NHS numbers and National Insurance numbers.

NHS number (England, Wales and the Isle of Man; NHS Data Dictionary): ten digits, the last checks by
weights 10 to 2 modulo 11; one number in eleven passes, so a name must stand before it. National
Insurance number (HMRC's manual NIM39110): two letters, six digits, A to D, and no check digit; what
is written in one piece needs no name, in pairs it does.
"""

import re

from stdnum.gb import nhs

from pipeline.text.pii import triggers
from pipeline.text.pii.kinds.named import AFTER_NUMBER, BEFORE_NUMBER, named, number
from pipeline.text.pii.recognizer import LETTERS, WORD, Recognizer, Starts

_PREFIX = rb"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
_NINO = re.compile(BEFORE_NUMBER + _PREFIX + rb"[0-9]{6}[A-D]" + AFTER_NUMBER)
_SPACED_NINO = re.compile(
    rb"(?i)"
    + BEFORE_NUMBER
    + _PREFIX
    + rb"([ -]?)[0-9]{2}\1[0-9]{2}\1[0-9]{2}\1[A-D]"
    + AFTER_NUMBER
)


def _is_nhs(value: bytes) -> bool:
    return bool(nhs.is_valid(value.decode("ascii")))


UK_NHS = named("uk_nhs", (b"nhs", b"national health"), number(3, 3, 4), _is_nhs)
UK_NINO = Recognizer(
    kind="uk_nino",
    trigger=triggers.MIXED,
    pattern=_NINO,
    accept=lambda match: match.span(),
    starts=Starts(first=LETTERS[26:], not_after=WORD),
)
UK_NAMED_NINO = named(
    "uk_nino",
    (b"national insurance", b"nat. ins", b"nino", b"ni number", b"ni no"),
    _SPACED_NINO,
    lambda _: True,
    Starts(first=LETTERS, not_after=WORD),
)
