"""Geographic coordinates that name a place to some ten metres.

Pairs of decimal degrees with three decimals or more where a word (GPS, coordinates, latitude and
longitude, `geo:` of RFC 5870, a map's URL) says what they are, or each has a hemisphere; and
degrees, minutes and seconds with hemispheres (ISO 6709 annex D). Degrees and minutes alone (two
kilometres), plain pairs of numbers, and values out of range (90, 180) stay.
"""

import re
from collections.abc import Callable

from pipeline.text.pii.kinds.labelled import REACH_BYTES
from pipeline.text.pii.recognizer import LETTERS, Recognizer, Span, Starts
from pipeline.text.pii.triggers import Words

_DEGREES = rb"[-+]?[0-9]{1,3}\.[0-9]{3,15}"
_SIGN = rb"(?:\xc2\xb0|\xc2\xba)"
_BREAK = rb"[ \t\"'`*:=(\[>|,]{0,6}"
_NUMBER_END = rb"(?![0-9A-Za-z_]|\.[0-9])"
# latitude: 40.4461, longitude: -79.9822; or the other way round
_LATITUDE, _LONGITUDE = rb"lat(?:itude)?", rb"(?:longitude|long|lon|lng)"


def _labelled(first: bytes, second: bytes) -> bytes:
    return (
        first + rb"(?![A-Za-z])" + _BREAK + rb"(?:is |of )?(" + _DEGREES + rb")" + _SIGN
        + rb"?[\s\"'`*,;|&)}]{1,6}(?:and )?(?:[a-z]{1,12}[-_.])?" + second
        + rb"(?![A-Za-z])" + _BREAK + rb"(?:is |of )?(" + _DEGREES + rb")" + _NUMBER_END
    )  # fmt: skip


_LABELLED = re.compile(
    rb"(?i)(?<![A-Za-z\[])(?:" + _labelled(_LATITUDE, _LONGITUDE)
    + rb"|" + _labelled(_LONGITUDE, _LATITUDE) + rb")"
)  # fmt: skip
_PAIR = (
    _DEGREES + _SIGN + rb"?[ ]?[NSns]?(?:[ \t]*[,;/][ \t]*|[ \t]+)"
    + _DEGREES + _SIGN + rb"?(?: ?[EWOew](?![A-Za-z]))?"
)  # fmt: skip
_NAMES = (
    rb"gps|coordinates?|coords?|co-ordinates|geo|geolocation|geo_?point|latlng|latlon"
    rb"|lat[ ]?[/,_-]?[ ]?(?:lon|lng|long)|latitude[ ]?(?:and|/|,)[ ]?longitude|koordinaten"
    rb"|coordonn\xc3\xa9es|coordenadas|coordinate|location"
)
_NAMED = re.compile(
    rb"(?i)(?<![A-Za-z\[])(?:" + _NAMES + rb")(?![A-Za-z])"
    rb"(?:[ \t:=()\"'`>*]|(?:is|are|of|at|was|sind|sont|position|location|coordinates)(?![A-Za-z])"
    rb"|(\[)){1,8}?(" + _PAIR + rb")" + _NUMBER_END
)
_IN_MAP = re.compile(
    rb"(?i)(?:maps?[./][^\s\xff]{0,120}?|openstreetmap\.org/[^\s\xff]{0,120}?)"
    rb"(?:@|[=/])(" + _DEGREES + rb"(?:,|/|%2C)" + _DEGREES + rb")" + _NUMBER_END
)
_HEMISPHERES = (
    _DEGREES + _SIGN + rb"[ ]?[NSns][ ]?[,;/]?[ ]?" + _DEGREES + _SIGN + rb"[ ]?[EWOew](?![A-Za-z])"
)
_MINUTE, _SECOND = rb"(?:'|\xe2\x80\xb2|\xe2\x80\x99)", rb"(?:''|\"|\xe2\x80\xb3|\xe2\x80\x9d)"
_SEXAGESIMAL = (
    rb"[0-9]{1,3}" + _SIGN + rb"[ ]?[0-9]{1,2}" + _MINUTE + rb"[ ]?[0-9]{1,2}(?:[.,][0-9]{1,6})?"
    + _SECOND
)  # fmt: skip
_AFTER_SIGN = b" 0123456789NSEWO,;/"
_APART = rb"[ ]?[,;/]?[ ]?"
_WITH_SIGNS = re.compile(
    rb"(?<![0-9A-Za-z.])(?:" + _HEMISPHERES
    + rb"|" + _SEXAGESIMAL + rb"[ ]?[NSns]" + _APART + _SEXAGESIMAL + rb"[ ]?[EWOew](?![A-Za-z])"
    rb"|[NS][ ]?" + _SEXAGESIMAL + _APART + rb"[EWO][ ]?" + _SEXAGESIMAL + rb"(?![0-9A-Za-z])"
    rb"|[NS][ ]?" + _DEGREES + _SIGN + _APART + rb"[EWO][ ]?" + _DEGREES + _SIGN + rb")"
)  # fmt: skip
_NUMBER = re.compile(rb"[0-9]+(?:\.[0-9]+)?")
_MAX_LATITUDE, _MAX_LONGITUDE = 90, 180


def _is_on_earth(latitude: bytes, longitude: bytes) -> bool:
    """By the first number of each, which is the degrees."""
    values = [float(_NUMBER.search(each)[0]) for each in (latitude, longitude)]  # type: ignore[index]
    return values[0] <= _MAX_LATITUDE and values[1] <= _MAX_LONGITUDE


def _accept_labelled(match: re.Match[bytes]) -> Span | None:
    if match[1] is not None:
        return (match.start(1), match.end(2)) if _is_on_earth(match[1], match[2]) else None
    return (match.start(3), match.end(4)) if _is_on_earth(match[4], match[3]) else None


def _accept_pair(match: re.Match[bytes]) -> Span | None:
    latitude, longitude = re.findall(_DEGREES, match[1])
    return match.span(1) if _is_on_earth(latitude, longitude) else None


def _accept_named(match: re.Match[bytes]) -> Span | None:
    """GeoJSON (RFC 7946) writes `[longitude, latitude]`; shares of a picture are no place."""
    first, second = re.findall(_DEGREES, match[2])
    if max(abs(float(first)), abs(float(second))) < 1:
        return None
    is_place = _is_on_earth(first, second) or (match[1] and _is_on_earth(second, first))
    return match.span(2) if is_place else None


def _accept_signs(match: re.Match[bytes]) -> Span | None:
    degrees = re.findall(rb"([0-9]+(?:\.[0-9]+)?)" + _SIGN, match[0])
    return match.span() if _is_on_earth(*degrees) else None


def _recognizer(
    pattern: re.Pattern[bytes],
    words: tuple[bytes, ...],
    accept: Callable[[re.Match[bytes]], Span | None],
    lead_bytes: int = 0,
    letters: bytes = b"",
) -> Recognizer:
    trigger = Words(words=words, lead_bytes=lead_bytes, reach_bytes=REACH_BYTES)
    starts = Starts(letters.lower() + letters.upper(), LETTERS + b"[") if letters else None
    return Recognizer(kind="geo", trigger=trigger, pattern=pattern, accept=accept, starts=starts)


LABELLED = _recognizer(
    _LABELLED,
    (b"latitude", *(b"lat" + bytes([byte]) for byte in b" \t\"'`*:=([>|,+-0123456789")),
    _accept_labelled,
    lead_bytes=72,  # of a longitude before it
    letters=b"l",
)
NAMED_PAIR = _recognizer(
    _NAMED,
    (b"gps", b"coord", b"co-ord", b"geo:", b"geo ", b"geoloc", b"geo_", b"geopoint", b"latlng",
     b"latlon", b"lat/", b"lat,", b"lat_", b"lat-", b"lat lon", b"latitude", b"koordinat",
     b"location"),
    _accept_named,
    letters=b"gckl",
)  # fmt: skip
IN_MAP = _recognizer(
    _IN_MAP, (b"maps.", b"maps/", b"map.", b"map/", b"openstreetmap"), _accept_pair
)
WITH_SIGNS = _recognizer(
    _WITH_SIGNS,
    tuple(sign + bytes([byte]) for sign in (b"\xc2\xb0", b"\xc2\xba") for byte in _AFTER_SIGN),
    _accept_signs,
    lead_bytes=24,
)
