"""Telephone numbers: international (ITU-T E.164), North American (NANP), and of chosen regions.

International, with +: an assigned country code and 8 to 15 digits in all, or 10 if in one piece.
North American: area and exchange of the form [2-9]XX that do not end in 11, four digits more, with
separators; three groups with spaces alone look like any table, so they need a word of telephony.
National notations of regions: what `phonenumbers` holds valid there. It needs a word of telephony
on the same line, or else the trunk prefix and the groups in which the region writes that number,
three of them or the first in parentheses. Extensions (`x12`) belong to the number.
"""

import functools
import itertools
import re

import phonenumbers

from pipeline.text.pii import triggers
from pipeline.text.pii.kinds.calling_codes import CALLING_CODES
from pipeline.text.pii.kinds.telephony import follows_telephony
from pipeline.text.pii.recognizer import (
    DIGITS,
    WORD,
    Recognizer,
    Span,
    Starts,
    after,
    before,
    digits,
)

# The ten whose national ids Headwater knows too
PHONE_REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "PL", "BR", "IN")

# a slash may go before another number
_END = (
    rb"(?:(?:,? ?(?:ext\.?|extension)|[ ;]?x) ?[0-9]{1,6})?"
    rb"(?![0-9A-Za-z_]|[-.][0-9]|/(?![0-9(+][0-9 ().-]{6})[0-9(+])"
)
_INTERNATIONAL = re.compile(
    rb"(?<![0-9A-Za-z_+.-])(\+\(?[1-9](?:[ ().\-/]{0,3}[0-9]){6,14})" + _END
)
_AMERICAN = re.compile(
    rb"(?<![0-9A-Za-z_+])(?<![0-9A-Za-z_][-./+])"
    rb"((?:\+?1|001)(?:[ .-]|(?=\()))?"
    rb"(\()?([2-9][0-8][0-9])(?(2)\)[ ./-]{0,2}|([ .-]))([2-9][0-9]{2})([ .-])[0-9]{4}" + _END
)
_NATIONAL = re.compile(
    # no other number right before, unless it is a date or a time
    rb"(?<![0-9A-Za-z_+])(?<![0-9A-Za-z_][-./+])(?<![0-9)] \()"
    rb"(?:(?<=[0-9]{4}-[0-9]{2}-[0-9]{2} )|(?<=[0-9]:[0-9]{2} )|(?<![0-9][ (:]))"
    rb"((?:8[ -]?(?=\(?[0-9]{3}[ )-]))?(?:\([0-9]{2,6}\)[ /-]{0,2})?[0-9]{2,12}"
    rb"(?:[ ./-]{1,3}(?:\([0-9]{1,6}\) ?)?[0-9]{1,8}){0,5})" + _END + rb"(?!,[0-9]{1,2}(?![0-9,]))"
)
_NAMES_WHAT_STANDS_BEFORE = re.compile(
    rb"(?i)[ -]{1,3}\(?(?:office|fax|mobile|cell|home|phone|tel)(?![A-Za-z])"
)
_DATE = re.compile(
    rb"(?:1[89]|20)[0-9]{2}([-/. ])[0-9]{1,2}\1[0-9]{1,2}(?![0-9])"
    rb"|[0-9]{1,2}([-/.])[0-9]{1,2}\2(?:[0-9]{4}|[0-9]{2})(?![0-9]|\2[0-9])"
)
_MIN_DIGITS, _MIN_DIGITS_UNSEPARATED = 8, 10
_MIN_NATIONAL, _MAX_NATIONAL = 8, 13
_MIN_WITHOUT_TRUNK_PREFIX = 9
_MAX_FOREIGN_GROUPS = 2
_LAST_GROUP = re.compile(rb" +[^ ]*$")
_DECIMAL = re.compile(rb"[0-9]+\.[0-9]+")
_YEARS = re.compile(rb"(?:(?:19|20)[0-9]{2}[ ./-]*){2,}")
_ROUND = re.compile(rb"0{7,}$")
_TWO_GROUPS = re.compile(rb"0[1-9][0-9]{1,4}[ /-][0-9]{5,8}")
_RUSSIAN = re.compile(rb"8[ -]?\(?[0-9]{3}[ )-]{1,2}[0-9]{3}[ -][0-9]{2}[ -][0-9]{2}")
_WITH_EXIT_CODE = re.compile(rb"00[1-9][0-9]{0,2} [0-9]|00 [1-9][0-9]{0,2} [0-9 ]*[0-9]{3}")
_FOLLOWS_NUMBER = re.compile(rb"[0-9][ ,]$")
_PAIRS = (b"--", b"  ", b"..", b" -")
_MIN_GROUPS, _MIN_STEPS, _MIN_TWO_GROUPS = 3, 4, 10
_COUNTED = re.compile(rb"0?123456789?0?|9876543210?|([0-9])\1+")
_HEX_BEFORE = re.compile(rb"(?i)(?<![0-9a-z:-])[0-9a-f]{2}[ >)]{1,3}$")
_HEX_AFTER = re.compile(rb"(?i) {1,2}<?[0-9a-f]{2}(?![0-9a-z])")


def _accept_international(match: re.Match[bytes]) -> Span | None:
    number = digits(match[1])
    groups = re.findall(rb"[0-9]+", match[1])
    codes = (groups[0][:size] for size in (1, 2, 3) if len(groups[0]) >= size)
    code = next((code for code in codes if code in CALLING_CODES), None)
    is_decimal = len(groups) == 2 and b"." in match[1]  # +1.2345678901
    is_enumeration = len(groups) > len(number) / 2 + 1  # +1-2-3-4-5-6-7-8
    minimum = _MIN_DIGITS if len(groups) > 1 else _MIN_DIGITS_UNSEPARATED
    if code is None or is_decimal or is_enumeration or len(number) < minimum:
        return None
    if code == b"1" and not (len(number) == 11 and _is_american(number[1:])):
        return None
    return match.span() if _is_possible(match[1]) else None


@functools.lru_cache(maxsize=4096)
def _is_possible(text: bytes) -> bool:
    """Whether its country has numbers of that length, and it is no round number."""
    if _ROUND.search(text):
        return False
    try:
        number = phonenumbers.parse(text.decode("ascii"))
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_possible_number(number)


def _accept_american(match: re.Match[bytes]) -> Span | None:
    prefix, paren, area, separator, exchange, last_separator = match.groups()
    if not _is_american(area + exchange):
        return None
    if paren is None:
        pair = separator + last_separator
        if pair not in _PAIRS or (pair == b" -" and _FOLLOWS_NUMBER.search(before(match, 2))):
            return None
        if pair == b"  " and prefix is None and not follows_telephony(match):
            return None
        if pair == b".." and not _is_assigned(area + exchange + match[0][-4:]):
            return None
    return match.span()


@functools.lru_cache(maxsize=4096)
def _is_assigned(number: bytes) -> bool:
    """Whether the area code is in use; versions and sizes have dots, too."""
    return phonenumbers.is_valid_number(phonenumbers.parse(number.decode("ascii"), "US"))


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


def _accept_national(regions: tuple[str, ...], match: re.Match[bytes]) -> Span | None:
    text, end = match[1], match.end()
    if b" " not in text and not _MIN_NATIONAL <= len(digits(text)) <= _MAX_NATIONAL:
        return None
    # (0711) 123456 and 01 23 45 67 89 can stand alone; what has no such form needs a word
    is_named = _is_named(match)
    if not (is_named or (_is_written(text) and not _is_dump(match))) or _is_no_number(text):
        return None
    if text.startswith(b"00") and _is_abroad(text, is_named):
        return match.start(), end
    for _ in range(_MAX_FOREIGN_GROUPS + 1):  # 020 7946 0958 2 doors
        if _MIN_NATIONAL <= len(digits(text)) <= _MAX_NATIONAL and _is_number(
            text, regions, is_named
        ):
            return match.start(), end
        text = _LAST_GROUP.sub(b"", text)
        end = match.start() + len(text)
    return None


def _is_named(match: re.Match[bytes]) -> bool:
    return follows_telephony(match) or bool(_NAMES_WHAT_STANDS_BEFORE.match(after(match)))


def _is_written(text: bytes) -> bool:
    """Whether it has a form that few other numbers have."""
    if text.startswith(b"(0"):
        return True
    if _TWO_GROUPS.fullmatch(text) and len(digits(text)) >= _MIN_TWO_GROUPS:
        return True
    return (
        text.startswith(b"0") and _num_groups(text) >= _MIN_GROUPS and _steps(text) is None
    ) or _RUSSIAN.fullmatch(text) is not None


def _is_abroad(text: bytes, is_named: bool) -> bool:
    """Whether it is dialled with 00 to another country, as 0049 89 123456."""
    if not (is_named or _WITH_EXIT_CODE.match(text)):
        return False
    try:
        number = phonenumbers.parse("+" + digits(text).decode("ascii")[2:])
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(number)


def _is_no_number(text: bytes) -> bool:
    """Dates, decimals, years, the digits in order, and counting."""
    return bool(
        _DATE.match(text)
        or _DECIMAL.fullmatch(text)
        or _COUNTED.fullmatch(text)
        or _YEARS.fullmatch(text)
        or _steps(text) in (0, 1)
    )


def _steps(text: bytes) -> int | None:
    """By how much each of at least four groups is more than the one before, if by as much."""
    groups = [int(group) for group in re.findall(rb"[0-9]+", text)]
    steps = {after - before for before, after in itertools.pairwise(groups)}
    return steps.pop() if len(groups) >= _MIN_STEPS and len(steps) == 1 else None


def _is_dump(match: re.Match[bytes]) -> bool:
    """Whether bytes in hexadecimal stand beside it: `<8b> 83 3c 01 00 00 89 44 24`."""
    return bool(_HEX_BEFORE.search(before(match)) or _HEX_AFTER.match(after(match)))


def _num_groups(text: bytes) -> int:
    return len(re.findall(rb"[0-9]+", text))


@functools.lru_cache(maxsize=4096)  # `phonenumbers` takes 70 µs for each region
def _is_number(text: bytes, regions: tuple[str, ...], is_named: bool) -> bool:
    """Whether it is a number of one of the regions; unnamed only if grouped as the region does."""
    written = text.decode("ascii")
    for region in regions:
        try:
            number = phonenumbers.parse(written, region)
        except phonenumbers.NumberParseException:
            continue
        if not phonenumbers.is_valid_number(number):
            continue
        if is_named and (_has_trunk_prefix(text, region) or _is_long(text)):
            return True
        if _has_trunk_prefix(text, region) and _is_grouped(text, number):
            return True
    return False


def _is_long(text: bytes) -> bool:
    return len(digits(text)) >= _MIN_WITHOUT_TRUNK_PREFIX


def _has_trunk_prefix(text: bytes, region: str) -> bool:
    """Whether the number begins as the region's do at home; some have no prefix."""
    prefix = phonenumbers.ndd_prefix_for_region(region, True)
    # Italy's 0 is part of the number; without one at all only names and parentheses tell
    return digits(text).startswith((prefix or "0").encode())


def _is_grouped(text: bytes, number: phonenumbers.PhoneNumber) -> bool:
    """Whether it is grouped as its region does; after an area code in parentheses, as one likes."""
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    groups, own = (re.findall(rb"[0-9]+", each) for each in (written.encode(), text))
    return groups == own or (text.startswith(b"(") and groups[0] == own[0])


@functools.lru_cache(maxsize=16)
def national(regions: tuple[str, ...]) -> Recognizer:
    """The recogniser of what people of these regions dial at home (ISO 3166-1 alpha-2: GB)."""
    return Recognizer(
        kind="phone",
        trigger=triggers.NUMBER,
        pattern=_NATIONAL,
        accept=functools.partial(_accept_national, regions),
        starts=Starts(first=DIGITS + b"(", not_after=WORD + b"+"),
    )


INTERNATIONAL = Recognizer(
    kind="phone",
    trigger=triggers.PHONE,
    pattern=_INTERNATIONAL,
    accept=_accept_international,
    starts=Starts(first=b"+", not_after=WORD + b"+.-"),
)
AMERICAN = Recognizer(
    kind="phone",
    trigger=triggers.PHONE,
    pattern=_AMERICAN,
    accept=_accept_american,
    starts=Starts(first=DIGITS + b"+(", not_after=WORD + b"+"),
)


def phones(regions: tuple[str, ...]) -> tuple[Recognizer, ...]:
    """What finds the numbers of these regions, and those with + of all countries."""
    is_american = any(phonenumbers.country_code_for_region(region) == 1 for region in regions)
    american = (AMERICAN,) if is_american else ()
    return (INTERNATIONAL, *american, national(regions)) if regions else (INTERNATIONAL,)


def check_regions(regions: tuple[str, ...]) -> tuple[str, ...]:
    """`regions`, each one that `phonenumbers` knows, or `ValueError`."""
    for region in regions:
        if region == "UK":
            raise ValueError("got UK; want GB, the country's code in ISO 3166-1")
        if region not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError(f"got {region!r}; want codes of ISO 3166-1 alpha-2 such as GB, DE")
    return regions
