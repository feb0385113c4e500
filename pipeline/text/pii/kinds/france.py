"""France: the social security number (numéro d'inscription au répertoire, NIR; INSEE).

Sex, year, month, department (2A and 2B for Corsica), commune, order, and a key of two digits that
makes the number divisible by 97. One run of fifteen digits in 800 has such a key and such parts.
"""

import re

from stdnum.fr import nir

from pipeline.text.pii import triggers
from pipeline.text.pii.kinds.named import AFTER_NUMBER, BEFORE_NUMBER, NUMBER_STARTS, named
from pipeline.text.pii.recognizer import Recognizer, Span

# months from 20 on are of people whose month of birth is not known
_MONTH = rb"(?:0[1-9]|1[0-2]|[2-9][0-9])"


def _pattern(department: bytes, separator: bytes = b"[ -]?") -> re.Pattern[bytes]:
    begin = rb"[1-478](" + separator + rb")[0-9]{2}\1" + _MONTH + rb"\1"
    end = rb"\1[0-9]{3}\1[0-9]{3}[ -]?[0-9]{2}"
    return re.compile(BEFORE_NUMBER + begin + rb"(?:%s)" % department + end + AFTER_NUMBER)


def _is_nir(value: bytes) -> bool:
    return bool(nir.is_valid(value.upper().decode("ascii").replace("-", " ")))


def _accept(match: re.Match[bytes]) -> Span | None:
    return match.span() if _is_nir(match[0]) else None


FR_NIR = Recognizer(
    kind="fr_nir",
    trigger=triggers.CARD,
    pattern=_pattern(b"[0-9]{2}"),
    accept=_accept,
    starts=NUMBER_STARTS,
)
FR_CORSICAN_NIR = Recognizer(
    kind="fr_nir",
    trigger=triggers.MIXED,
    pattern=_pattern(b"2[ABab]", b""),
    accept=_accept,
    starts=NUMBER_STARTS,
)
# in groups, 2A and 2B end the run of numbers that is a trigger
FR_NAMED_NIR = named(
    "fr_nir",
    (b"nir", b"s\xc3\xa9cu", b"securite", b"num\xc3\xa9ro d", b"insee"),
    _pattern(b"[0-9]{2}|2[ABab]"),
    _is_nir,
)
