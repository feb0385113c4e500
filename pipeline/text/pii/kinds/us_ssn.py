"""US social security numbers, by the rules of the issuing administration (POMS RM 10201.035).

Area 001-899 except 666, group 01-99, serial 0001-9999. Hyphens are required; spaces or nothing do
where a name stands before. The two numbers that SSA voided because advertisements
printed them stay.
"""

import re

from pipeline.text.pii import triggers
from pipeline.text.pii.kinds.named import AFTER_NUMBER, BEFORE_NUMBER, NUMBER_STARTS, named
from pipeline.text.pii.recognizer import Recognizer, Span, before, digits

_AREA, _GROUP, _SERIAL = rb"(?!000|666|9)[0-9]{3}", rb"(?!00)[0-9]{2}", rb"(?!0000)[0-9]{4}"
_HYPHENATED = _AREA + b"-" + _GROUP + b"-" + _SERIAL
_NAMED = (
    rb"(?:" + _AREA + rb"(-?)" + _GROUP + rb"\1" + _SERIAL
    + rb"|(?<![0-9] )" + _AREA + b" " + _GROUP + b" " + _SERIAL + rb"(?! [0-9]))"
)  # fmt: skip
_VOIDED = frozenset({b"078051120", b"219099999"})
_NAMES_OTHER = re.compile(rb"(?i)(?<![a-z])(?:ranges?|part|model|item|sku|isbn|pages?)[ :#.]{1,3}$")


def _accept(match: re.Match[bytes]) -> Span | None:
    if not _is_issuable(match[0]) or _NAMES_OTHER.search(before(match)):
        return None
    return match.span()


def _is_issuable(text: bytes) -> bool:
    return digits(text) not in _VOIDED


US_SSN = Recognizer(
    kind="us_ssn",
    trigger=triggers.SSN,
    pattern=re.compile(BEFORE_NUMBER + _HYPHENATED + AFTER_NUMBER),
    accept=_accept,
    starts=NUMBER_STARTS,
)
US_NAMED_SSN = named(
    "us_ssn",
    (b"ssn", b"s.s.n", b"social security", b"ss#", b"ss #"),
    re.compile(BEFORE_NUMBER + _NAMED + AFTER_NUMBER),
    _is_issuable,
)
