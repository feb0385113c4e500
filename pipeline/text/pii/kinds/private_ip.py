"""Addresses of private networks and of the machine itself, which `ip` leaves alone: opt-in.

IPv4: RFC 1918 (10/8, 172.16/12, 192.168/16), loopback (127/8), link-local (169.254/16), shared by
carriers (100.64/10, RFC 6598). IPv6: unique local (fc00::/7, RFC 4193), link-local (fe80::/10), and
`::1` where a word says that it is an address, for in programs it is a step. They name nobody on the
internet, but tell how a network is laid out. Versions, networks and netmasks stay, as with `ip`.
"""

import functools
import ipaddress
import re

from pipeline.text.pii import triggers
from pipeline.text.pii.kinds.ip import (
    IPV4_PATTERN,
    IPV4_STARTS,
    is_host,
    is_prefix_length,
    is_version,
)
from pipeline.text.pii.recognizer import WORD, Recognizer, Span, Starts, after, before

_NETWORKS = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
    )
)
_IPV6 = re.compile(
    rb"(?<![0-9A-Za-z_:.])(?:f(?:[cd][0-9a-f]|e[89ab])[0-9a-f]:[0-9a-f:.]{1,41}|::1(?!\.[0-9]))"
    rb"(?![0-9a-z_:])",
    re.IGNORECASE,
)
_LOOPBACK = b"::1"
_NAMES_LOOPBACK = re.compile(
    rb"(?i)(?<![a-z])(?:ip|ipv6|inet6?|addr|address|addresses|hosts?|localhost|ip6-localhost"
    rb"|loopback|listen|listening|bind|server|nameserver|proxy)(?![a-z])|127\.0\.0\.1|://\[$"
)


def _accept_ipv4(match: re.Match[bytes]) -> Span | None:
    is_own = _is_private(match[0]) and is_host(match) and not is_version(before(match))
    return match.span() if is_own else None


@functools.lru_cache(maxsize=4096)
def _is_private(text: bytes) -> bool:
    address = ipaddress.IPv4Address(text.decode("ascii"))
    return any(address in network for network in _NETWORKS)


def _accept_ipv6(match: re.Match[bytes]) -> Span | None:
    if match[0] == _LOOPBACK:
        is_named = any(map(_NAMES_LOOPBACK.search, (before(match), after(match))))
        return match.span() if is_named else None
    text = match[0].rstrip(b".:")
    if match[0].rstrip(b".").endswith(b"::") or is_prefix_length(match):
        return None
    try:
        ipaddress.IPv6Address(text.decode("ascii"))
    except ipaddress.AddressValueError:
        return None
    return match.start(), match.start() + len(text)


PRIVATE_IPV4 = Recognizer(
    kind="private_ip",
    trigger=triggers.IPV4,
    pattern=IPV4_PATTERN,
    accept=_accept_ipv4,
    starts=IPV4_STARTS,
)
PRIVATE_IPV6 = Recognizer(
    kind="private_ip",
    trigger=triggers.LOCAL_IPV6,
    pattern=_IPV6,
    accept=_accept_ipv6,
    starts=Starts(first=b"fF:", not_after=WORD + b":."),
)
