"""International bank account numbers (ISO 13616): country, check digits modulo 97, and the account.

In one piece, or in groups of four with a space or hyphen between. The length is the country's
(SWIFT's IBAN registry), so that what follows a grouped number is not taken for its last group;
python-stdnum holds that registry, and knows where the account has digits and where letters.
"""

import functools
import re

from stdnum import iban, numdb

from pipeline.text.pii import triggers
from pipeline.text.pii.recognizer import LETTERS, WORD, Recognizer, Span, Starts

_PATTERN = re.compile(
    rb"(?i)(?<![0-9A-Z_])[A-Z]{2}[0-9]{2}"
    rb"(?:[A-Z0-9]{11,30}|([ -])[A-Z0-9]{4}(?:\1[A-Z0-9]{4}){1,6}(?:\1[A-Z0-9]{1,3})?)(?![0-9A-Z_])"
)
_COUNTRIES = numdb.get("iban")


@functools.cache
def length_of(country: str) -> int | None:
    """Characters of an IBAN of the country, given in capitals; None if it has none."""
    structure = _COUNTRIES.info(country)[0][1].get("bban")  # as `4!a20!n`
    return None if structure is None else 4 + sum(map(int, re.findall("[0-9]+", structure)))


def _accept(match: re.Match[bytes]) -> Span | None:
    text = match[0].decode("ascii")
    length = length_of(text[:2].upper())
    if length is None:
        return None
    end = length + (length - 1) // 4 if match[1] else length  # a separator after every fourth
    follows = text[end : end + 1]
    if len(text) < end or (follows and follows.isalnum()):
        return None
    compact = text[:end].replace(" ", "").replace("-", "")
    if compact not in (compact.upper(), compact.lower()):
        return None
    if not iban.is_valid(compact, check_country=False):
        return None
    return match.start(), match.start() + end


IBAN = Recognizer(
    kind="iban",
    trigger=triggers.IBAN,
    pattern=_PATTERN,
    accept=_accept,
    starts=Starts(first=LETTERS, not_after=WORD),
)
