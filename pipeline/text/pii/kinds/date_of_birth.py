"""Dates that a word before them makes dates of birth; other dates stay.

Year first (ISO 8601, also without hyphens), day or month first with dots, hyphens or slashes, and
with the names of the months in English, German, French, Spanish, Italian, Portuguese and Dutch. The
place may come before the date. A date that no calendar has (month 13, day 32) is none; years are
1850 to 2099, or of two digits.
"""

import re

from pipeline.text.pii.kinds.labelled import REACH_BYTES, labelled
from pipeline.text.pii.recognizer import Recognizer, Span
from pipeline.text.pii.triggers import Words

_PLACE = rb"(?-i:[A-Z\xc3])[^\s,\xff]{1,24}(?:,? (?-i:[A-Z\xc3])[^\s,\xff]{1,24}){0,4}"
_WORDS = (
    # born in Paris on ...
    rb"(?:(?:born|geboren|nacid[oa]|nascid[oa]) (?:in|at|near|en|em)|n\xc3\xa9e? (?:\xc3\xa0|en)"
    rb"|nat[oa] a) " + _PLACE + rb"|"
    rb"d\.?o\.?b|dates?[ _-]?of[ _-]?birth|birth[ _-]?dates?|birth[ _-]?day|born|born on"
    rb"|geburtsdatum|geburtstag|geboren|geb|n(?:e|\xc3\xa9)e? le|date de naissance"
    rb"|fecha de nacimiento|nacid[oa]|nat[oa] il|data di nascita|data de nascimento|nascid[oa]"
    rb"|geboortedatum|data urodzenia|urodzon[ya]"
)
_MONTHS = (
    rb"jan(?:uary|uar|vier|uari|eiro)?|ene(?:ro)?|gen(?:naio)?|f\xc3\xa9v(?:rier)?"
    rb"|feb(?:ruary|ruar|rero|braio|ruari)?|fev(?:ereiro)?|mar(?:ch|s|zo|\xc3\xa7o)?"
    rb"|m\xc3\xa4rz|maart|apr(?:il|ile)?|avr(?:il)?|abr(?:il)?|may|mai|mayo|mag(?:gio)?|maio|mei"
    rb"|jun(?:e|i|io|ho)?|juin|giu(?:gno)?|jul(?:y|i|io|ho)?|juil(?:let)?|lug(?:lio)?"
    rb"|aug(?:ust|ustus)?|ao\xc3\xbbt|ago(?:sto)?|sept?(?:ember|embre|iembre)?|set(?:tembre|embro)?"
    rb"|o[ck]t(?:ober|obre|ubre)?|ott(?:obre)?|out(?:ubro)?|nov(?:ember|embre|iembre|embro)?"
    rb"|de[cz](?:ember|embre|embro)?|d\xc3\xa9c(?:embre)?|dic(?:embre|iembre)?"
)
_YEAR = rb"(?:18[5-9]|19[0-9]|20[0-9])[0-9]"
_DAY = rb"[0-9]{1,2}(?:st|nd|rd|th|er|\xc2\xba|\.)?"
_NAMED = (
    _DAY + rb"[ -]?(?:of |de |d')?(?i:" + _MONTHS + rb")\.?,?[ -]?(?:de |of )?" + _YEAR
    + rb"|[0-9]{1,2}[-/](?i:" + _MONTHS + rb")[-/][0-9]{2}"
    + rb"|(?i:" + _MONTHS + rb")\.?[ -]" + _DAY + rb",? " + _YEAR
)  # fmt: skip
_NUMERIC = (
    _YEAR + rb"([-/.])[0-9]{1,2}\2[0-9]{1,2}"
    rb"|[0-9]{1,2}([-/.]) ?[0-9]{1,2}\3 ?(?:" + _YEAR + rb"|[0-9]{2})"
    rb"|" + _YEAR + rb"(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
)


def _accept(match: re.Match[bytes]) -> Span | None:
    numbers = list(map(int, re.findall(rb"[0-9]+", match[1])))
    if len(numbers) == 1:  # 19800102, of which the pattern is certain
        exists = True
    elif match[2] is None and match[3] is None:  # a name of a month
        exists = 1 <= numbers[0] <= 31
    else:
        first, second = numbers[1:] if match[2] else sorted(numbers[:2])
        exists = 1 <= first <= 12 and 1 <= second <= 31
    return match.span(1) if exists else None


DATE_OF_BIRTH = Recognizer(
    kind="date_of_birth",
    trigger=Words(
        words=(b"dob", b"d.o.b", b"birth", b"born", b"geburt", b"geboren", b"geb.",
               b"n\xc3\xa9 le ", b"n\xc3\xa9e le ", b"n\xc3\xa9 \xc3\xa0 ", b"n\xc3\xa9 en ",
               b"n\xc3\xa9e \xc3\xa0 ", b"n\xc3\xa9e en ", b"naissance", b"nacimiento", b"nacid",
               b"nato il", b"nata il", b"nato a ", b"nata a ", b"nascita", b"nasciment", b"nascid",
               b"geboortedatum", b"urodz"),
        lead_bytes=16,
        reach_bytes=REACH_BYTES + 128,  # the name of a place
    ),
    pattern=labelled(_WORDS, rb"(?:" + _NUMERIC + rb"|" + _NAMED + rb")"),
    accept=_accept,
)  # fmt: skip
