"""Public IPv4 and IPv6 addresses (RFC 4291, IANA's special-purpose registries through `ipaddress`).

Private, loopback, link-local, multicast, documentation and reserved addresses, netmasks and
networks (1.2.3.0, 1.2.3.4/24, 2a01:4f8::) say nothing of a person and stay. What looks like an IPv4
address and is not: versions (`foo-1.2.3.4`, `>= 1.2.3.4`), sections, object identifiers. Numbers of
which three parts are small are nearly always those, so they need a word of networking before them.
"""

import ipaddress
import re

from pipeline.text.pii import triggers
from pipeline.text.pii.recognizer import Recognizer, Span, after, before

_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(
    rb"(?<![0-9A-Za-z_.])" + _OCTET + rb"(?:\." + _OCTET + rb"){3}(?![0-9A-Za-z_]|\.[0-9])"
)
# only what begins in 2000::/3; `ipaddress` does the parsing
_IPV6 = re.compile(rb"(?<![0-9A-Za-z_:.])[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:.]{1,41}(?![0-9A-Za-z_:])")
_IS_VERSION = re.compile(
    rb"""(?ix)
    (?:^|[^a-z])(?:v|ver|vers|versions?|rev|revisions?|releases?d?|r|builds?|firmware|drivers?
        |updates?d?|upgraded?|since|until|upstream|sections?|sect?|chapters?|clauses?|paragraphs?
        |para|appendix|figures?|fig|tables?|oids?|rfc|articles?|rules?|items?|step|standard)
        [\ \t.:=\#("'`]*$                          # version 1.2.3.4, sec. 1.2.3.4
    |[<>=~!]=[\ "']*$ | <<\ *$ | >>\ *$ | [<>]\ +$ # >= 1.2.3.4
    |[a-z_][-/_+]$ | \xc2\xa7\ *$                  # foo-1.2.3.4, Chrome/1.2.3.4, a section sign
    """
)
_NAMES_ADDRESS = re.compile(
    rb"(?i)(?:\b(?:ip|ipv?4|addr|address|addresses|hosts?|(?:name)?servers?|dns|resolvers?|gateway"
    rb"|ping|via|from)|://|@)(?:[ \t:=(\[\"'`]|is |at |the |of )*$"
)
_IS_ADDRESSED = re.compile(rb"(?i):[0-9]{2,5}(?![0-9.])|[ -]ip\b")  # 1.1.1.1:53, the 1.1.1.1 IP
# 1.2.3.4-5 is a Debian revision, 1.2.3.4-1.2.3.9 a range of addresses; 1.2.3.0/24 is a network
_IS_SUFFIXED = re.compile(rb"(?:[+~]|-(?![0-9]+(?:\.[0-9]+){3}))[0-9A-Za-z]|/(?!32(?![0-9]))[0-9]")
_IS_PREFIX_LENGTH = re.compile(rb"/(?!128(?![0-9]))[0-9]")
# Sections and versions have three parts up to 31 and begin below 100; of addresses 1 in 300 does.
_MAX_SMALL, _NUM_SMALL, _MAX_FIRST = 31, 3, 99


def _accept_ipv4(match: re.Match[bytes]) -> Span | None:
    address = ipaddress.IPv4Address(match[0].decode("ascii"))
    parts = address.packed
    is_public = address.is_global and not address.is_multicast and not address.is_reserved
    if not is_public or parts[-1] == 0 or _IS_SUFFIXED.match(after(match)):
        return None
    context = before(match)
    if _IS_VERSION.search(context):
        return None
    is_small = parts[0] <= _MAX_FIRST and sum(p <= _MAX_SMALL for p in parts) >= _NUM_SMALL
    is_named = _NAMES_ADDRESS.search(context) or _IS_ADDRESSED.match(after(match))
    return match.span() if is_named or not is_small else None


def _accept_ipv6(match: re.Match[bytes]) -> Span | None:
    if match[0].rstrip(b".").endswith(b"::"):
        return None
    text = match[0].rstrip(b".:")
    try:
        address = ipaddress.IPv6Address(text.decode("ascii"))
    except ipaddress.AddressValueError:
        return None
    if not address.is_global or _IS_PREFIX_LENGTH.match(after(match)):
        return None
    return match.start(), match.start() + len(text)


IPV4 = Recognizer(kind="ip", trigger=triggers.IPV4, pattern=_IPV4, accept=_accept_ipv4)
IPV6 = Recognizer(kind="ip", trigger=triggers.IPV6, pattern=_IPV6, accept=_accept_ipv6)
