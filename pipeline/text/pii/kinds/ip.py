"""Public IPv4 and IPv6 addresses (RFC 4291, IANA's special-purpose registries through `ipaddress`).

Private, loopback, link-local, multicast, documentation and reserved addresses, netmasks and
networks (1.2.3.0, 1.2.3.4/24, 2a01:4f8::) say nothing of a person and stay. What looks like an IPv4
address and is not: versions (`foo-1.2.3.4`, `>= 1.2.3.4`), sections, object identifiers. Numbers of
which three parts are small are nearly always those, so they need a word of networking before them.
"""

import functools
import ipaddress
import re

from pipeline.text.pii import triggers
from pipeline.text.pii.recognizer import DIGITS, WORD, Recognizer, Span, Starts, after, before

_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4_PATTERN = re.compile(
    rb"(?<![0-9A-Za-z_.])" + _OCTET + rb"(?:\." + _OCTET + rb"){3}(?![0-9A-Za-z_]|\.[0-9])"
)
IPV4_STARTS = Starts(first=DIGITS, not_after=WORD + b".")
# only what begins in 2000::/3; `ipaddress` does the parsing
_IPV6 = re.compile(rb"(?<![0-9A-Za-z_:.])[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:.]{1,41}(?![0-9A-Za-z_:])")
_VERSION_WORDS = frozenset(
    b"""
    v ver vers version versions r rev revision revisions release releases released build builds
    firmware driver drivers update updates updated upgrade upgraded since until upstream standard
    sec sect section sections chapter chapters clause clauses paragraph paragraphs para appendix
    fig figure figures table tables oid oids rfc article articles rule rules item items step
    abschnitt kapitel chapitre rv fileversion productversion firefox chrome chromium safari opera
    edge thunderbird seamonkey trident gecko webkit msie kernel flash acrobat
    """.split()
)
_OPENERS = b" \t.:=#(\"'`\xc2\xa0"  # between such a word and the number; the last two are U+00A0
_COMPARISONS = (b"==", b">=", b"<=", b"~=", b"!=", b"<<", b">>", b" <", b" >", b"(<", b"(>")
_MARKUP = re.compile(rb"(?:<[a-z]{1,8}>)+$")  # Version: <b>
_SECTION_SIGN = "§".encode()
_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NAMES_ADDRESS = re.compile(
    rb"(?i)(?:\b(?:ip|ipv?4|addr|address|addresses|hosts?|(?:name)?servers?|dns|resolvers?|gateway"
    rb"|ping|via|from)|://|@)(?:[ \t:=(\[\"'`]|is |at |the |of )*$"
)
_IS_ADDRESSED = re.compile(rb"(?i):[0-9]{2,5}(?![0-9.])|[ -]ip\b")  # 1.1.1.1:53, the 1.1.1.1 IP
# 1.2.3.4-5 is a Debian revision, 1.2.3.4-1.2.3.9 a range of addresses; 1.2.3.0/24 is a network
_IS_SUFFIXED = re.compile(rb"(?:[+~]|-(?![0-9]+(?:\.[0-9]+){3}))[0-9A-Za-z]|/(?!32(?![0-9]))[0-9]")
_IS_PREFIX_LENGTH = re.compile(rb"/(?!128(?![0-9]))[0-9]")
# Sections and versions have three parts up to 31 and begin below 100; of addresses 1 in 170 does.
_MAX_SMALL, _NUM_SMALL, _MAX_FIRST = 31, 3, 99


def _accept_ipv4(match: re.Match[bytes]) -> Span | None:
    context = before(match)
    if not is_host(match) or not _is_public(match[0]) or is_version(context):
        return None
    parts = tuple(map(int, match[0].split(b".")))
    is_small = parts[0] <= _MAX_FIRST and sum(p <= _MAX_SMALL for p in parts) >= _NUM_SMALL
    is_named = _NAMES_ADDRESS.search(context) or _IS_ADDRESSED.match(after(match))
    return match.span() if is_named or not is_small else None


def is_host(match: re.Match[bytes]) -> bool:
    """Whether it is neither a network's address nor part of a longer notation."""
    return not match[0].endswith(b".0") and not _IS_SUFFIXED.match(after(match))


def is_prefix_length(match: re.Match[bytes]) -> bool:
    """Whether the length of a network's prefix follows an IPv6 address."""
    return _IS_PREFIX_LENGTH.match(after(match)) is not None


def is_version(context: bytes) -> bool:
    """Whether what stands before makes it version 1.2.3.4, >= 1.2.3.4, foo-1.2.3.4 or sec. 1.2.3.4.

    Written with `rstrip`: a regular expression that ends in `$` tries every byte of the context.
    """
    bare = context.rstrip(_OPENERS)
    if bare.endswith(b">"):
        bare = _MARKUP.sub(b"", bare).rstrip(_OPENERS)
    bare = bare.removesuffix(b" is").rstrip(_OPENERS)
    word = bare[len(bare.rstrip(_LETTERS)) :].lower()
    joined = context[-1:] in (b"-", b"/", b"_", b"+") and context[-2:-1] in _LETTERS + b"_"
    return (
        word in _VERSION_WORDS
        or word.endswith(b"version")  # AssemblyVersion("
        or (joined and len(context) > 1)
        or context.rstrip(b" \"'").endswith(_COMPARISONS)
        or bare.endswith(_SECTION_SIGN)
    )


@functools.lru_cache(maxsize=4096)  # `is_global` walks a list of networks
def _is_public(text: bytes) -> bool:
    address = ipaddress.IPv4Address(text.decode("ascii"))
    return address.is_global and not address.is_multicast and not address.is_reserved


def _accept_ipv6(match: re.Match[bytes]) -> Span | None:
    if match[0].rstrip(b".").endswith(b"::"):
        return None
    text = match[0].rstrip(b".:")
    try:
        address = ipaddress.IPv6Address(text.decode("ascii"))
    except ipaddress.AddressValueError:
        return None
    if not address.is_global or is_prefix_length(match):
        return None
    return match.start(), match.start() + len(text)


IPV4 = Recognizer(
    kind="ip",
    trigger=triggers.IPV4,
    pattern=IPV4_PATTERN,
    accept=_accept_ipv4,
    starts=IPV4_STARTS,
)
IPV6 = Recognizer(
    kind="ip",
    trigger=triggers.IPV6,
    pattern=_IPV6,
    accept=_accept_ipv6,
    starts=Starts(first=b"23", not_after=WORD + b":."),
)
