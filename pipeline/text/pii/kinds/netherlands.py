"""The Netherlands: the citizen service number (burgerservicenummer, BSN; Wet abb, article 1).

Nine digits, weighted 9 to 2 and -1, divisible by 11: one number in eleven is, so a name must stand
before it.
"""

import re

from stdnum.nl import bsn

from pipeline.text.pii.kinds.named import AFTER_PLAIN_NUMBER, BEFORE_NUMBER, named

_BSN = re.compile(
    BEFORE_NUMBER
    + rb"(?:[0-9]{9}|[0-9]{4}([ .])[0-9]{2}\1[0-9]{3}|[0-9]{3}([ .-])[0-9]{3}\2[0-9]{3})"
    + AFTER_PLAIN_NUMBER
)


def _is_bsn(value: bytes) -> bool:
    return bool(bsn.is_valid(value.decode("ascii")))


NL_BSN = named("nl_bsn", (b"bsn", b"burgerservice", b"sofinummer", b"sofi-nummer"), _BSN, _is_bsn)
