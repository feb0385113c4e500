"""Hardware addresses (IEEE 802, EUI-48): pairs with colons or hyphens, or fours with dots.

The address of one device: not of a group, not all zeros or ones, not of the range for documentation
(RFC 7042, 00-00-5E-00-53). Digits alone look like times and dates, so they need a word of networks.
"""

import re

from pipeline.text.pii import triggers
from pipeline.text.pii.recognizer import DIGITS, WORD, Recognizer, Span, Starts, before

_PAIR = rb"[0-9A-Fa-f]{2}"
_MAC = re.compile(
    rb"(?<![0-9A-Za-z_])(?:%s([:-])%s(?:\1%s){4}|[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2})"
    rb"(?![0-9A-Za-z_]|[:.-][0-9A-Fa-f])" % (_PAIR, _PAIR, _PAIR)
)
_IS_PRECEDED = re.compile(rb"[:.-]$")
_NAMES_DEVICE = re.compile(
    rb"(?i)(?<![0-9a-z])(?:mac(?:addr(?:ess)?)?|ether|ethernet|hwaddr|lladdr|bssid|station|bluetooth"
    rb"|wifi)(?![0-9a-z])"
)
_DOCUMENTATION = b"00005e0053"
_GROUP_BIT = 1


def _accept(match: re.Match[bytes]) -> Span | None:
    octets = re.sub(rb"[^0-9a-f]", b"", match[0].lower())
    context = before(match)
    is_one_device = (
        not int(octets[:2], 16) & _GROUP_BIT
        and octets != b"0" * 12
        and not octets.startswith(_DOCUMENTATION)
    )
    if not is_one_device or _IS_PRECEDED.search(context[-1:]):
        return None
    is_plain = octets.isdigit() or b"." in match[0]
    return None if is_plain and not _NAMES_DEVICE.search(context) else match.span()


MAC = Recognizer(
    kind="mac",
    trigger=triggers.MAC,
    pattern=_MAC,
    accept=_accept,
    starts=Starts(first=DIGITS + b"abcdefABCDEF", not_after=WORD),
)
