"""Telephone numbers: international with + (ITU-T E.164) and North American (NANP).

International: an assigned country code and 8 to 15 digits in all, or 10 if they are in one piece.
North American: area and exchange of the form [2-9]XX that do not end in 11, four digits more, with
separators; three groups with spaces alone look like any table, so they need a word of telephony.
National notations of other countries are not found.
"""

import re

from pipeline.text.pii import triggers
from pipeline.text.pii.recognizer import Recognizer, Span, before, digits

_INTERNATIONAL = re.compile(
    rb"(?<![0-9A-Za-z_+.-])\+\(?[1-9](?:[ ().\-/]{0,2}[0-9]){6,14}"
    rb"(?![0-9A-Za-z_]|[-./,][0-9])"
)
_AMERICAN = re.compile(
    rb"(?<![0-9A-Za-z_+])(?<![0-9A-Za-z_][-./+,])"
    rb"(\+?1(?:[ .-]|(?=\()))?"
    rb"(\()?([2-9][0-8][0-9])(?(2)\)[ ./-]{0,2}|([ .-]))([2-9][0-9]{2})([ .-])[0-9]{4}"
    rb"(?![0-9A-Za-z_]|[-./,][0-9])"
)
_IS_TELEPHONY = re.compile(
    rb"(?i)\b(?:(?:tele)?(?:phones?|fax)|tel|ph|cell|call|mobile|dial|text|sms|whatsapp|contact"
    rb"|voice)\b"
)
# ITU-T E.164, assigned country codes
_COUNTRY_CODES = frozenset(
    b"""
    1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62
    63 64 65 66 81 82 84 86 90 91 92 93 94 95 98 211 212 213 216 218 220 221 222 223 224 225 226
    227 228 229 230 231 232 233 234 235 236 237 238 239 240 241 242 243 244 245 246 247 248 249
    250 251 252 253 254 255 256 257 258 260 261 262 263 264 265 266 267 268 269 290 291 297 298
    299 350 351 352 353 354 355 356 357 358 359 370 371 372 373 374 375 376 377 378 380 381 382
    383 385 386 387 389 420 421 423 500 501 502 503 504 505 506 507 508 509 590 591 592 593 594
    595 596 597 598 599 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689
    690 691 692 800 808 850 852 853 855 856 870 878 880 881 882 883 886 888 960 961 962 963 964
    965 966 967 968 970 971 972 973 974 975 976 977 979 992 993 994 995 996 998
    """.split()
)
_MIN_DIGITS, _MIN_DIGITS_UNSEPARATED = 8, 10


def _accept_international(match: re.Match[bytes]) -> Span | None:
    number = digits(match[0])
    groups = re.findall(rb"[0-9]+", match[0])
    codes = (groups[0][:size] for size in (1, 2, 3) if len(groups[0]) >= size)
    code = next((code for code in codes if code in _COUNTRY_CODES), None)
    is_decimal = len(groups) == 2 and b"." in match[0]  # +1.2345678901
    is_enumeration = len(groups) > len(number) / 2 + 1  # +1-2-3-4-5-6-7-8
    minimum = _MIN_DIGITS if len(groups) > 1 else _MIN_DIGITS_UNSEPARATED
    if code is None or is_decimal or is_enumeration or len(number) < minimum:
        return None
    if code == b"1" and not (len(number) == 11 and _is_american(number[1:])):
        return None
    return match.span()


def _accept_american(match: re.Match[bytes]) -> Span | None:
    prefix, paren, area, separator, exchange, last_separator = match.groups()
    if not _is_american(area + exchange):
        return None
    if paren is None:
        if separator != last_separator:
            return None
        if separator == b" " and prefix is None and not _IS_TELEPHONY.search(before(match)):
            return None
    return match.span()


def _is_american(number: bytes) -> bool:
    """Whether the area code and exchange that begin `number` can exist (NANPA's rules)."""
    area, exchange = number[:3], number[3:6]
    return (
        area[0] >= ord("2")
        and exchange[0] >= ord("2")
        and area[1] != ord("9")
        and not area.endswith(b"11")
        and not exchange.endswith(b"11")
    )


INTERNATIONAL = Recognizer(
    kind="phone", trigger=triggers.PHONE, pattern=_INTERNATIONAL, accept=_accept_international
)
AMERICAN = Recognizer(
    kind="phone", trigger=triggers.PHONE, pattern=_AMERICAN, accept=_accept_american
)
