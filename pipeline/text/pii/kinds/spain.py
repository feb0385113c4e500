"""Spain: identity numbers of citizens (DNI) and of foreigners (NIE).

DNI: eight digits and a letter that is the number modulo 23; NIE: X, Y or Z, seven digits and such a
letter. In one piece and upper case they need no name, unless the digits are a date; with a hyphen,
dots or in lower case they do.
"""

import re

from stdnum.es import dni, nie

from pipeline.text.pii import triggers
from pipeline.text.pii.kinds.named import AFTER_NUMBER, BEFORE_NUMBER, NUMBER_STARTS, named
from pipeline.text.pii.recognizer import WORD, Recognizer, Span, Starts

_DNI = re.compile(BEFORE_NUMBER + rb"[0-9]{8}[A-Z]" + AFTER_NUMBER)
_NIE = re.compile(BEFORE_NUMBER + rb"[XYZ][0-9]{7}[A-Z]" + AFTER_NUMBER)
_NAMED_DNI = re.compile(
    BEFORE_NUMBER + rb"[0-9]{2}(\.?)[0-9]{3}\1[0-9]{3}[ -]?[A-Za-z]" + AFTER_NUMBER
)
_NAMED_NIE = re.compile(BEFORE_NUMBER + rb"[XYZxyz][ -]?[0-9]{7}[ -]?[A-Za-z]" + AFTER_NUMBER)
_DATE = re.compile(rb"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")


def _is_dni(value: bytes) -> bool:
    return bool(dni.is_valid(value.replace(b".", b"").decode("ascii")))


def _is_nie(value: bytes) -> bool:
    return bool(nie.is_valid(value.decode("ascii")))


def _accept_dni(match: re.Match[bytes]) -> Span | None:
    return match.span() if _is_dni(match[0]) and not _DATE.match(match[0]) else None


def _accept_nie(match: re.Match[bytes]) -> Span | None:
    return match.span() if _is_nie(match[0]) else None


ES_DNI = Recognizer(
    kind="es_dni",
    trigger=triggers.MIXED,
    pattern=_DNI,
    accept=_accept_dni,
    starts=NUMBER_STARTS,
)
ES_NIE = Recognizer(
    kind="es_nie",
    trigger=triggers.MIXED,
    pattern=_NIE,
    accept=_accept_nie,
    starts=Starts(first=b"XYZ", not_after=WORD),
)
ES_NAMED_DNI = named("es_dni", (b"dni", b"d.n.i", b"nif ", b"nif:", b"n.i.f"), _NAMED_DNI, _is_dni)
ES_NAMED_NIE = named(
    "es_nie",
    (b"nie ", b"nie:", b"n.i.e", b"extranjer"),
    _NAMED_NIE,
    _is_nie,
    Starts(first=b"XYZxyz", not_after=WORD),
)
