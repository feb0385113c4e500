"""US social security numbers, by the rules of the issuing administration (POMS RM 10201.035).

Area 001-899 except 666, group 01-99, serial 0001-9999. Hyphens are required; spaces do where the
line names the number before it. The two numbers that SSA voided because advertisements printed them
stay.
"""

import re

from pipeline.text.pii import triggers
from pipeline.text.pii.recognizer import Recognizer, Span, before, digits

_PATTERN = re.compile(
    rb"(?<![0-9A-Za-z_])(?<![0-9A-Za-z_][-./+,])(?<![0-9] )"
    rb"(?!000|666|9)[0-9]{3}([ -])(?!00)[0-9]{2}\1(?!0000)[0-9]{4}"
    rb"(?![0-9A-Za-z_]|[-.,/+][0-9A-Za-z_]|[ ][0-9])"
)
_VOIDED = frozenset({b"078051120", b"219099999"})
_IS_NAMED = re.compile(rb"(?i)\bssn\b|social security|\bss ?#")


def _accept(match: re.Match[bytes]) -> Span | None:
    if digits(match[0]) in _VOIDED:
        return None
    if match[1] == b" " and not _IS_NAMED.search(before(match)):
        return None
    return match.span()


US_SSN = Recognizer(kind="us_ssn", trigger=triggers.SSN, pattern=_PATTERN, accept=_accept)
