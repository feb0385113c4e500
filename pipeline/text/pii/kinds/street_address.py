"""Street addresses of the US and Britain, and of Germany.

US and GB: a number, one to four words with capitals and a street suffix; or any such words if a
ZIP code (after the state) or a postcode follows. The unit, the town and the code belong to it, also
on the next line. Germany: a word in `-straße`, `-str.`, `-allee` or `-gasse` and the number; one in
`-weg`, `-platz`, `-ufer` and the like, which end other words too, only with the five digits of a
postal code and a town. Streets without a number, boxes and other notations are not found.
"""

import re

from pipeline.text.pii import triggers
from pipeline.text.pii.recognizer import DIGITS, WORD, Recognizer, Span, Starts, before
from pipeline.text.pii.triggers import Words

# USPS publication 28 C1 and Britain's: those that end names of streets, hardly of anything else
_SUFFIXES = (
    rb"Avenue|Ave|Boulevard|Blvd|Circle|Cir|Court|Ct|Crescent|Cres|Drive|Dr|Expressway|Expy|Freeway"
    rb"|Fwy|Gardens|Gdns|Highway|Hwy|Lane|Ln|Mews|Parkway|Pkwy|Road|Rd|Street|St|Terrace|Turnpike"
)
_DIRECTION = rb"(?:N|S|E|W|NE|NW|SE|SW|North|South|East|West)"
_NAME = (
    rb"(?:[A-Z][A-Za-z\xc3\x80-\xbf'-]{1,24}|[0-9]{1,3}(?:st|nd|rd|th)|O'[A-Z][a-z]{1,20}|[A-Z])"
)
_STATES = (
    rb"(?:A[AEKLPRZ]|C[AOT]|D[CE]|F[LM]|G[AU]|HI|I[ADLN]|K[SY]|LA|M[ADEHINOPST]|N[CDEHJMVY]|O[HKR]"
    rb"|P[ARW]|RI|S[CD]|T[NX]|UT|V[AIT]|W[AIVY])"
)
_UNIT = (
    rb"(?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Fl|Room|Rm|Studio|Building|Bldg|#)\.? ?"
    rb"[0-9A-Za-z-]{1,6}(?![0-9A-Za-z])"
)
_BREAK = rb"(?:,? {1,2}|,?\r?\n[ \t>]{0,4})"
_TOWN = rb"[A-Z][A-Za-z.'-]{1,20}(?: [A-Za-z][A-Za-z.'-]{1,20}){0,2}"
_ZIP = _TOWN + rb"(?:, ?| )" + _STATES + rb",?[ \n][0-9]{5}(?:-[0-9]{4})?(?![0-9A-Za-z-])"
_POSTCODE = (
    rb"(?:" + _TOWN + rb"(?:, ?|\n| )){0,2}[A-Z]{1,2}[0-9][0-9A-Z]? ?[0-9][A-Z]{2}(?![0-9A-Za-z])"
)
_APART = rb"(?:, {0,2}|,?\r?\n[ \t>]{0,4})"
_NUMBER_FIRST = re.compile(
    rb"(?<![0-9A-Za-z_$.,#/:=-])(?<![0-9] )"
    rb"(?:(?:Flat|Studio|Unit|Apartment) (?:[0-9]{1,4}[A-Za-z]?,? (?=[0-9]))?)?"
    rb"([0-9]{1,5})(?:-[0-9]{1,5})?[A-Za-z]?,? (?:" + _DIRECTION + rb"\.? )?"
    rb"(?!The |This |That |Of |And )(?:"
    # a suffix, and what may follow
    rb"(?:" + _NAME + rb" ){1,4}(" + _SUFFIXES + rb")(?![A-Za-z0-9_]|'s|-[A-Za-z])\.?"
    rb"(?:,? " + _DIRECTION + rb"(?![A-Za-z]))?"
    rb"((?:" + _BREAK + _UNIT + rb")?(?:" + _BREAK + rb"(?:" + _ZIP + rb"|" + _POSTCODE + rb"))?)"
    # any name, if a ZIP code or a postcode follows
    rb"|" + _NAME + rb"(?: " + _NAME + rb"){1,4}(?:" + _BREAK + _UNIT + rb")?" + _APART
    + rb"(?:" + _ZIP + rb"|" + _POSTCODE + rb"))"
)  # fmt: skip
_YEAR = re.compile(rb"(?:19[0-9]|20[0-2])[0-9]")
_CAPITAL, _SMALL = rb"(?:[A-Z]|\xc3[\x84\x96\x9c])", rb"(?:[a-z]|\xc3[\xa4\xb6\xbc\x9f])"
_HOUSE = (
    rb" [0-9]{1,4}(?: ?[a-hA-H](?![-A-Za-z]))?(?:[-/][0-9]{1,4}[a-h]?)?(?![0-9A-Za-z]|[.,:][0-9])"
)
_TOWN_DE = _CAPITAL + rb"[A-Za-z\xc3\x80-\xbf-]{1,30}"
_POSTAL = (
    _BREAK + rb"(?:D-)?[0-9]{5} (?:Bad |Sankt |St\. )?" + _TOWN_DE
    + rb"(?: (?:am|an der|im|in der|bei|ob der|vor der) " + _TOWN_DE + rb")?"
)  # fmt: skip
_GERMAN = re.compile(
    rb"(?<![0-9A-Za-z_\xc3-\xdf\x80-\xbf-])(?:(?:" + _CAPITAL + _SMALL + rb"{1,24}-){0,3}"
    + _CAPITAL + _SMALL + rb"{1,30}(?:stra(?:\xc3\x9f|ss)e|str\.|gasse|allee|chaussee)"
    rb"|(?:" + _CAPITAL + _SMALL + rb"{1,24}[ -]){1,3}(?:Stra(?:\xc3\x9f|ss)e|Str\.|Gasse|Allee"
    rb"|Chaussee))" + _HOUSE + rb"(?:" + _POSTAL + rb")?"
)  # fmt: skip
_GERMAN_WEAK = re.compile(
    rb"(?<![0-9A-Za-z_\xc3-\xdf\x80-\xbf-])(?:(?:" + _CAPITAL + _SMALL + rb"{1,24}-){0,3}"
    + _CAPITAL + _SMALL + rb"{1,30}(?:weg|platz|damm|ufer|steig|graben|markt)"
    rb"|(?:" + _CAPITAL + _SMALL + rb"{1,24}[ -]){1,3}(?:Weg|Platz|Ring|Damm|Ufer|Steig|Graben"
    rb"|Markt))" + _HOUSE + _POSTAL
)  # fmt: skip
_LEAD_BYTES = 4 * 64


# Drives and courts that no street is called after, units of memory, and what is numbered itself
_IS_THING = re.compile(
    rb"(?:Flash|Dis[ck]|Hard|Floppy|Tape|USB|SSD|HDD|Thumb|Pen|CD|DVD|CD-ROM|Optical|Hybrid|Zip|Jump"
    rb"|State|Google|Shared|Team|Network|Cloud|Backup|External|Internal|Portable|Removable|Warp)"
    rb" Drive"
    rb"|(?:District|Circuit|Supreme|High|Federal|Superior|Appeals?|Appellate|Tax|Bankruptcy|Crown"
    rb"|Magistrates'?|Probate|Juvenile|Municipal|Criminal|Civil|Trial|Claims|Chancery|Sheriff"
    rb"|Constitutional|International|Tennis) (?:Court|Ct)"
)
_UNITS = frozenset(b"KB MB GB TB PB KiB MiB GiB TiB Hz kHz MHz GHz Mbps Gbps V W".split())
_IS_NUMBERED = re.compile(
    rb"(?i)(?:\b(?:title|article|chapter|section|sec|part|volume|vol|page|table|figure|fig|version|rule"
    rb"|route|windows|office|level|season|episode|step|phase|type|class)|\xc2\xa7)\.?[ ]$"
)


def _accept_number_first(match: re.Match[bytes]) -> Span | None:
    is_bare = match[2] is not None and not match[3]
    return None if is_bare and _is_thing(match) else match.span()


def _is_thing(match: re.Match[bytes]) -> bool:
    """2004 Debian Project Drive, 500 GB Disk Drive, 9 Circuit Court, Title 18 Supreme Court."""
    words = match[0].split()
    return (
        bool(_YEAR.fullmatch(match[1]))
        or words[1] in _UNITS
        or _IS_THING.search(b" ".join(words[1:])) is not None
        or _IS_NUMBERED.search(before(match)) is not None
    )


def _accept(match: re.Match[bytes]) -> Span | None:
    return match.span()


# the numbers that a name could follow are a shape of their own, in one of 4,000 bytes
NUMBER_FIRST = Recognizer(
    kind="street_address",
    trigger=triggers.STREET,
    pattern=_NUMBER_FIRST,
    accept=_accept_number_first,
    starts=Starts(first=DIGITS + b"FSUA", not_after=WORD + b"$.,#/:=-"),
)
GERMAN = Recognizer(
    kind="street_address",
    trigger=Words(
        words=(b"strasse ", b"stra\xc3\x9fe ", b"str. ", b"gasse ", b"allee ", b"chaussee "),
        lead_bytes=_LEAD_BYTES,
        reach_bytes=96,
    ),
    pattern=_GERMAN,
    accept=_accept,
)
GERMAN_WITH_TOWN = Recognizer(
    kind="street_address",
    trigger=Words(
        words=(b"weg ", b"platz ", b"damm ", b"ufer ", b"steig ", b"graben ", b"markt ", b"-ring "),
        lead_bytes=_LEAD_BYTES,
        reach_bytes=96,
    ),
    pattern=_GERMAN_WEAK,
    accept=_accept,
)
