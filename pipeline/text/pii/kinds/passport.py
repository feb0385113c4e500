"""Passport numbers after a word that names them, in the notations of ICAO's member states.

ICAO Doc 9303 part 4 leaves a number at most nine characters. The shapes are those of the issuers:
nine digits or a letter and eight (US), nine digits (GB), two digits, two letters and five digits
(FR), one to three letters and six to eight digits (ES, IN, IT, PL and most others), nine of the
characters of ICAO without vowels (DE), 2+2+6 digits (RU). There is no check digit outside of the
machine-readable zone, so without the word nothing is found.
"""

import re

from pipeline.text.pii.kinds.labelled import REACH_BYTES, labelled
from pipeline.text.pii.recognizer import Recognizer, Span
from pipeline.text.pii.triggers import Words

_WORDS = (
    rb"passport|reisepass|passnummer|passeport|pasaporte|passaporto|passaporte|paspoort"
    rb"|paspoortnummer|paszport|paszportu|reisepassnummer|passport[ _-]?(?:number|num|no|nr|id)"
    rb"|(?:passport|passeport)(?:number|no)"
)
_VALUE = (
    rb"[A-Z]{1,3}[ -]?[0-9]{6,8}|[a-z]{1,2}[0-9]{7,8}|[0-9]{7,9}|[0-9]{2}[A-Z]{2}[0-9]{5}"
    rb"|[CFGHJKLMNPRTVWXYZ][CFGHJKLMNPRTVWXYZ0-9]{8}|[0-9]{2} ?[0-9]{2} ?[0-9]{6}"
)
_MIN_DIGITS = 3  # of nine; a German number has more


def _accept(match: re.Match[bytes]) -> Span | None:
    num_digits = len(re.findall(rb"[0-9]", match[1]))
    return match.span(1) if num_digits >= _MIN_DIGITS else None


PASSPORT = Recognizer(
    kind="passport",
    trigger=Words(
        words=(b"passport", b"reisepass", b"passnummer", b"passeport", b"pasaporte", b"passaport",
               b"paspoort", b"paszport"),
        reach_bytes=REACH_BYTES,
    ),
    pattern=labelled(_WORDS, _VALUE),
    accept=_accept,
)  # fmt: skip
