"""Poland: the population register's number (PESEL; act of 24 September 2010, article 15).

Eleven digits: a date of birth, whose month tells the century, an ordinal and a check digit. One
number in fifty passes, so a name must stand before it.
"""

import re

from stdnum.pl import pesel

from pipeline.text.pii.kinds.named import AFTER_PLAIN_NUMBER, BEFORE_NUMBER, named

_PESEL = re.compile(BEFORE_NUMBER + rb"[0-9]{11}" + AFTER_PLAIN_NUMBER)


def _is_pesel(value: bytes) -> bool:
    return bool(pesel.is_valid(value.decode("ascii")))


PL_PESEL = named("pl_pesel", (b"pesel",), _PESEL, _is_pesel)
