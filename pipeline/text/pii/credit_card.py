"""Payment card numbers: issuer range, length, grouping and the Luhn check (ISO/IEC 7812-1).

13 to 19 digits in one piece, or in groups of 4-4-4-4, 4-4-4-4-3 or 4-4-4-1, 4-6-5 or 4-6-4 with one
kind of separator. A tenth of all numbers passes Luhn; the issuer's ranges and the grouping keep out
the rest.
"""

import re

from pipeline.text.pii import triggers
from pipeline.text.pii.recognizer import Recognizer, Span, digits

_PATTERN = re.compile(
    rb"(?<![0-9A-Za-z_])(?<![0-9A-Za-z_][-./+,])(?<![0-9]{2} )"
    rb"(?:[0-9]{13,19}"
    rb"|[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1(?:[0-9]{4}(?:\1[0-9]{3})?|[0-9])"
    rb"|[0-9]{4}([ -])[0-9]{6}\2[0-9]{4,5})"
    rb"(?![0-9A-Za-z_]|[-.,/+][0-9A-Za-z_]|[ ][0-9]{4})"
)

# (first and last prefix, lengths): the networks' published ranges
_ISSUERS: tuple[tuple[int, int, frozenset[int]], ...] = (
    (4, 4, frozenset({13, 16, 19})),  # Visa
    (51, 55, frozenset({16})),  # Mastercard
    (2221, 2720, frozenset({16})),  # Mastercard
    (34, 34, frozenset({15})),  # American Express
    (37, 37, frozenset({15})),  # American Express
    (300, 305, frozenset({14})),  # Diners Club
    (36, 36, frozenset({14})),  # Diners Club
    (38, 39, frozenset({14, 16})),  # Diners Club
    (6011, 6011, frozenset({16, 19})),  # Discover
    (644, 659, frozenset({16, 19})),  # Discover
    (3528, 3589, frozenset({16, 17, 18, 19})),  # JCB
    (62, 62, frozenset({16, 17, 18, 19})),  # UnionPay
)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # digit sum of twice a digit


def _accept(match: re.Match[bytes]) -> Span | None:
    number = digits(match[0])
    return match.span() if _has_issuer(number) and passes_luhn(number) else None


def _has_issuer(number: bytes) -> bool:
    return any(
        first <= int(number[: len(str(first))]) <= last and len(number) in lengths
        for first, last, lengths in _ISSUERS
    )


def passes_luhn(number: bytes) -> bool:
    """Whether a string of ASCII digits ends in the check digit of Luhn's algorithm."""
    values = [byte - ord("0") for byte in reversed(number)]
    return (sum(values[::2]) + sum(_DOUBLED[value] for value in values[1::2])) % 10 == 0


CREDIT_CARD = Recognizer(
    kind="credit_card", trigger=triggers.CARD, pattern=_PATTERN, accept=_accept
)
