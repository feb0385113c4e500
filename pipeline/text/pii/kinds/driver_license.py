"""Driving licence numbers after a word that names them.

The fifty states, the provinces and the countries each have a notation of their own, most without a
check digit: letters and digits, five to twenty of them, joined by hyphens, asterisks or spaces
between digits. Four are digits, or one of at least eight. The name must be singular, for numbers
after "driving licences" count them, and neither a date nor a range of years is a licence.
"""

import re

from pipeline.text.pii.kinds.labelled import REACH_BYTES, WORD_BEGIN, beginning, labelled
from pipeline.text.pii.recognizer import Recognizer, Span, digits
from pipeline.text.pii.triggers import Words

_WORDS = (
    rb"driv(?:er(?:'?s|\xe2\x80\x99s|s'|s\xe2\x80\x99)?|ing)[ _-]?licen[cs]e"
    rb"(?:[ _-]?(?:number|num|no|nr|id))?"
    rb"|f(?:\xc3\xbc|ue)hrerschein(?:nummer|nr)?|permis de conduire|patente di guida"
    rb"|permiso de conducir|carn(?:et|\xc3\xa9) de conducir|carteira de motorista|cnh"
    rb"|rijbewijs(?:nummer)?"
    rb"|prawo jazdy|prawa jazdy|dvla|dmv|dl(?=[#:]| no| num)"
)
_VALUE = (
    rb"(?=[A-Za-z]{0,12}[0-9])[A-Za-z0-9]{1,20}"
    rb"(?:[-*][A-Za-z0-9]{1,12}|(?<=[0-9]) [0-9]{1,8}){0,6}\*?"
)
_DATE = re.compile(rb"(?:1[89]|20)[0-9]{2}-(?:[0-9]{4}|[0-9]{1,2}-[0-9]{1,2})|[0-9]{1,2}-.*-[0-9]+")
_MIN_DIGITS, _MIN_LENGTH_WITH_ONE = 4, 8
_MIN_CHARACTERS, _MAX_CHARACTERS = 5, 20


def _accept(match: re.Match[bytes]) -> Span | None:
    num_characters = len(re.findall(rb"[A-Za-z0-9]", match[1]))
    minimum = 1 if num_characters >= _MIN_LENGTH_WITH_ONE else _MIN_DIGITS
    is_long = _MIN_CHARACTERS <= num_characters <= _MAX_CHARACTERS
    is_number = len(digits(match[1])) >= minimum and not _DATE.fullmatch(match[1])
    return match.span(1) if is_long and is_number else None


DRIVER_LICENSE = Recognizer(
    kind="driver_license",
    trigger=Words(
        words=(b"license", b"licence", b"hrerschein", b"conduire", b"di guida", b"conducir",
               b"motorista", b"rijbewijs", b"jazdy", b"dvla", b"dmv",
               b"cnh", b"dl#", b"dl:", b"dl no", b"dl num"),
        lead_bytes=16,
        reach_bytes=REACH_BYTES,
    ),
    pattern=labelled(_WORDS, _VALUE, begin=WORD_BEGIN),
    accept=_accept,
    starts=beginning(b"dfpcr"),
)  # fmt: skip
