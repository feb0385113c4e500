"""Brazil: the register of natural persons (Cadastro de Pessoas Físicas, CPF).

Nine digits and two that check, modulo 11. Written as 000.000.000-00 it needs no name; in one piece
it does, since one number in a hundred passes.
"""

import re

from stdnum.br import cpf

from pipeline.text.pii import triggers
from pipeline.text.pii.kinds.named import (
    AFTER_NUMBER,
    AFTER_PLAIN_NUMBER,
    BEFORE_NUMBER,
    NUMBER_STARTS,
    named,
)
from pipeline.text.pii.recognizer import Recognizer, Span

_CPF = re.compile(BEFORE_NUMBER + rb"[0-9]{3}\.[0-9]{3}\.[0-9]{3}[-/][0-9]{2}" + AFTER_NUMBER)
_BARE_CPF = re.compile(
    BEFORE_NUMBER + rb"[0-9]{3}([ .]?)[0-9]{3}\1[0-9]{3}[ -]?[0-9]{2}" + AFTER_PLAIN_NUMBER
)


def _is_cpf(value: bytes) -> bool:
    number = re.sub(rb"[^0-9]", b"", value).decode("ascii")
    # eleven times the same digit passes the check and is the usual example
    return len(set(number)) > 1 and bool(cpf.is_valid(number))


def _accept(match: re.Match[bytes]) -> Span | None:
    return match.span() if _is_cpf(match[0]) else None


BR_CPF = Recognizer(
    kind="br_cpf", trigger=triggers.CPF, pattern=_CPF, accept=_accept, starts=NUMBER_STARTS
)
BR_BARE_CPF = named("br_cpf", (b"cpf", b"pessoa f", b"pessoas f"), _BARE_CPF, _is_cpf)
