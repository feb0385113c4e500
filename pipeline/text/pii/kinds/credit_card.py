"""Payment card numbers: issuer range, length, grouping and the Luhn check (ISO/IEC 7812-1).

13 to 19 digits in one piece, or in groups of 4-4-4-4, 4-4-4-4-3 or 4-4-4-1, 4-6-5 or 4-6-4 with one
kind of separator. A tenth of all numbers passes Luhn; the issuer's ranges and the grouping keep out
the rest. Maestro's ranges are wide and its numbers have 12 to 19 digits: those that have not 16
need a word for a card before them, or lists of numbers in programs would be full of them.
"""

import re

from pipeline.text.pii import triggers
from pipeline.text.pii.kinds.named import AFTER_NUMBER, BEFORE_NUMBER, NUMBER_STARTS, named
from pipeline.text.pii.recognizer import Recognizer, Span, digits

# Groups are not the rest of a longer row of them; four digits after them may be when it expires.
_FIRST = rb"(?<![0-9]{4} )"
_LAST = rb"(?! (?!(?:0[1-9]|1[0-2])[2-4][0-9](?![0-9]| [0-9]{4}))[0-9]{4})"
_GROUPED = (
    rb"[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1(?:[0-9]{4}(?:\1[0-9]{3})?|[0-9])" + _LAST
    + rb"|[0-9]{4}([ -])[0-9]{6}\2[0-9]{4,5}(?! [0-9]{4} ?[0-9])"
)  # fmt: skip
_PATTERN = re.compile(
    BEFORE_NUMBER + rb"(?:[0-9]{13,19}|" + _FIRST + rb"(?:" + _GROUPED + rb"))" + AFTER_NUMBER
)
_NAMED_PATTERN = re.compile(
    BEFORE_NUMBER + rb"(?:[0-9]{12,19}|" + _FIRST + rb"(?:" + _GROUPED
    + rb"|[0-9]{4}([ -])[0-9]{4}\3[0-9]{4}" + _LAST + rb"))" + AFTER_NUMBER
)  # fmt: skip
_SIXTEEN = len("4111 1111 1111 1111")
_Issuers = tuple[tuple[int, int, frozenset[int]], ...]
_MAESTRO_LENGTHS = frozenset(range(12, 20))
_MAESTRO_NAMELESS = frozenset({16})
_MAESTRO = ((50, 50), (56, 58), (6304, 6304), (639, 639), (6759, 6763))  # first and last prefix
# (first and last prefix, lengths): the networks' published ranges
_ISSUERS: _Issuers = (
    (4, 4, frozenset({13, 16, 19})),  # Visa
    (51, 55, frozenset({16})),  # Mastercard
    (2221, 2720, frozenset({16})),  # Mastercard
    (34, 34, frozenset({15})),  # American Express
    (37, 37, frozenset({15})),  # American Express
    (300, 305, frozenset({14})),  # Diners Club
    (3095, 3095, frozenset({14})),  # Diners Club
    (36, 36, frozenset({14})),  # Diners Club
    (38, 39, frozenset({14, 16})),  # Diners Club
    (6011, 6011, frozenset({16, 19})),  # Discover
    (644, 659, frozenset({16, 19})),  # Discover
    (3528, 3589, frozenset({16, 17, 18, 19})),  # JCB
    (1800, 1800, frozenset({15})),  # JCB, before 2000
    (2131, 2131, frozenset({15})),  # JCB, before 2000
    *((first, last, _MAESTRO_NAMELESS) for first, last in _MAESTRO),
    (62, 62, frozenset({16, 17, 18, 19})),  # UnionPay
)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # digit sum of twice a digit
_NAMED_ISSUERS = tuple((first, last, _MAESTRO_LENGTHS) for first, last in _MAESTRO)


def _accept(match: re.Match[bytes]) -> Span | None:
    if _is_card(match[0], _ISSUERS):
        return match.span()
    sixteen, code = match[0][:_SIXTEEN], match[0][_SIXTEEN:]  # 4111 1111 1111 1111 123
    if code.startswith(b" ") and _is_card(sixteen, _ISSUERS):
        return match.start(), match.start() + _SIXTEEN
    return None


def _is_maestro(text: bytes) -> bool:
    return _is_card(text, _NAMED_ISSUERS)


def _is_card(text: bytes, issuers: _Issuers) -> bool:
    number = digits(text)
    return _has_issuer(number, issuers) and passes_luhn(number)


def _has_issuer(number: bytes, issuers: _Issuers) -> bool:
    return any(
        first <= int(number[: len(str(first))]) <= last and len(number) in lengths
        for first, last, lengths in issuers
    )


def passes_luhn(number: bytes) -> bool:
    """Whether a string of ASCII digits ends in the check digit of Luhn's algorithm."""
    values = [byte - ord("0") for byte in reversed(number)]
    return (sum(values[::2]) + sum(_DOUBLED[value] for value in values[1::2])) % 10 == 0


CREDIT_CARD = Recognizer(
    kind="credit_card",
    trigger=triggers.CARD,
    pattern=_PATTERN,
    accept=_accept,
    starts=NUMBER_STARTS,
)
MAESTRO = named(
    "credit_card",
    (
        b"card", b"creditcard", b"debitcard", b"bankcard", b"karte", b"kreditkarte", b"bankkarte",
        b"girokarte", b"girocard", b"ec-karte", b"carte", b"carta di", b"cart\xc3\xa3o", b"tarjeta",
        b"kaart", b"creditkaart", b"betaalkaart", b"karta", b"karty", b"maestro", b"debit", b"visa",
        b"mastercard", b"paid with", b"cc ",
    ),
    _NAMED_PATTERN,
    _is_maestro,
)  # fmt: skip
